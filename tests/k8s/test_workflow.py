"""The workflow of a recipe: what it holds, what it asks of a cluster, and how its parts are tied together."""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from espnet3.errors import ConfigError
from espnet3.recipe.run_config import RunConfig
from espnet3.systems.asr.system import ASRSystem
from k8s.containers import Cluster, stage_containers
from k8s.images import Digests
from k8s.recipe import read_run_config
from k8s.settings import StageSettings
from k8s.values import read_profile
from k8s.workflow import OF_DATA, build_workflow
from tests.k8s.conftest import Rendered, env, template

Write = Callable[[str], str]
PROFILES = ["local", "gke-gpu", "eks-karpenter", "onprem-nfs"]
STAGES = ["create-dataset", "train-tokenizer", "collect-stats", "train", "infer", "measure", "pack-model", "pack-demo"]


def test_plan_comes_first_and_each_stage_asks_it(rendered: Rendered) -> None:
    tasks = template(rendered(), "recipe")["dag"]["tasks"]
    assert [task["name"] for task in tasks] == ["plan", *STAGES]
    for before, task in itertools.pairwise(tasks):
        assert task["depends"] == before["name"]
        assert task["when"] == f"{{{{tasks.plan.outputs.parameters.{task['name']}}}}} == run"


def test_the_plan_alone_holds_the_run_config(rendered: Rendered, recipe: Path) -> None:
    workflow = rendered()
    compressed = read_run_config(recipe, [], {}).to_compressed()
    assert json.dumps(workflow).count(compressed) == 1
    plan = template(workflow, "plan")
    assert plan["inputs"]["artifacts"][0]["raw"]["data"] == compressed
    assert plan["container"]["args"] == ["--config", plan["inputs"]["artifacts"][0]["path"]]
    paths = [parameter["valueFrom"]["path"] for parameter in plan["outputs"]["parameters"]]
    assert paths[0] == f"{env(workflow, 'plan')['ESPNET3_PLAN_DIR']}/create_dataset"


def test_parameters_reach_plan_and_stages(rendered: Rendered) -> None:
    workflow = rendered()
    given = {each["name"]: each["value"] for each in workflow["spec"]["arguments"]["parameters"]}
    assert given == {"stages": "all", "force": ""}
    assert env(workflow, "plan")["ESPNET3_STAGES"] == "{{inputs.parameters.stages}}"
    assert env(workflow, "train")["ESPNET3_FORCE"] == "{{inputs.parameters.force}}"
    assert env(workflow, "train")["ESPNET3_IDEMPOTENCY_KEY"] == "{{workflow.uid}}"


def test_every_stage_is_an_entrypoint(rendered: Rendered) -> None:
    """Argo feeds the inputs of an entrypoint from the arguments of the workflow, and else from their defaults."""
    workflow = rendered(settings="infer: {shards: 4}")
    for stage in STAGES:
        inputs = template(workflow, stage)["inputs"]["parameters"]
        assert [each for each in inputs if "default" not in each] == []


def test_where_a_stage_works_and_what_it_reads(rendered: Rendered, recipe: Path) -> None:
    workflow = rendered()
    digest = read_run_config(recipe, [], {}).digest
    train = template(workflow, "train")["container"]
    assert train["command"][-3:] == ["python", "-m", "stages.train"]
    assert train["args"] == ["--config", f".runs/{digest}/run.yaml"]
    assert env(workflow, "train")["ESPNET3_WORKDIR"] == "/workspace/digits/asr"
    assert "workingDir" not in train, "the runtime would make a missing one as root"
    assert workflow["metadata"]["labels"]["espnet3.org/config"] == digest


def test_a_stage_of_one_recipe_runs_in_the_train_image(recipe: Path) -> None:
    run = recipe / "run.py"
    own = "class Own(ASRSystem):\n    def polish_words(self) -> None:\n        pass\n\n\nSYSTEM_CLS = Own\n"
    text = run.read_text(encoding="utf-8").replace("SYSTEM_CLS = ASRSystem\n", own)
    run.write_text(text.replace('"measure",', '"measure",\n    "polish_words",'), encoding="utf-8")
    workflow = build_workflow(read_run_config(recipe, [], {}), {}, Cluster(read_profile("local"), Digests()))
    container = template(workflow, "polish-words")["container"]
    assert container["command"][-3:] == ["-m", "stages", "polish_words"]
    assert container["image"].startswith("localhost/espnet3-train:")


def test_only_asked_stages(recipe: Path) -> None:
    run = read_run_config(recipe, ["measure", "infer"], {})
    assert run.stages == ["infer", "measure"]


def test_shards_fan_out_and_merge(rendered: Rendered) -> None:
    workflow = rendered(settings="infer: {shards: 8}")
    force = {"name": "force", "value": "{{inputs.parameters.force}}"}
    arguments = {"parameters": [{"name": "shard", "value": "{{item}}"}, force]}
    assert template(workflow, "infer") == {
        "name": "infer",
        "inputs": {"parameters": [{"name": "force", "default": ""}]},
        "parallelism": 2,  # the local profile's cap
        "failFast": False,
        "dag": {
            "failFast": False,
            "tasks": [
                {"name": "shards", "template": "infer-shard", "withSequence": {"count": "8"}, "arguments": arguments},
                {"name": "merge", "template": "infer-merge", "depends": "shards", "arguments": {"parameters": [force]}},
            ],
        },
    }
    assert env(workflow, "infer-shard")["ESPNET3_SHARD_INDEX"] == "{{inputs.parameters.shard}}"
    assert env(workflow, "infer-merge")["ESPNET3_SHARD_INDEX"] == "merge"
    assert env(workflow, "infer-shard")["ESPNET3_SHARD_COUNT"] == env(workflow, "infer-merge")["ESPNET3_SHARD_COUNT"]
    assert "retryStrategy" in template(workflow, "infer-shard"), "a shard is repeated without its siblings"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_shard_has_the_container_of_the_whole_stage(rendered: Rendered, profile: str) -> None:
    """So that what the committed workflows show of a stage, which they run whole, holds of its shards."""
    expected = template(rendered(profile), "infer")
    expected["name"] = "infer-shard"
    expected["inputs"]["parameters"].insert(0, {"name": "shard"})
    expected["container"]["terminationMessagePolicy"] = "File"
    expected["container"]["env"] += [
        {"name": "ESPNET3_SHARD_COUNT", "value": "8"},
        {"name": "ESPNET3_SHARD_INDEX", "value": "{{inputs.parameters.shard}}"},
    ]
    assert template(rendered(profile, "infer: {shards: 8}"), "infer-shard") == expected


def test_a_stage_that_cannot_be_divided_has_no_shards(rendered: Rendered) -> None:
    with pytest.raises(ConfigError, match="measure cannot be divided"):
        rendered(settings="measure: {shards: 8}")


def test_the_exit_handler_reads_of_failures_in_less_than_a_process_takes(rendered: Rendered) -> None:
    said = env(rendered(), "report")["ESPNET3_ARGO_FAILURES"]
    assert said == "{{= sprig.trunc(65536, workflow.failures) }}"


def test_training_on_a_spot_pool(rendered: Rendered) -> None:
    workflow = rendered("gke-gpu")
    train = template(workflow, "train")
    assert train["container"]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert train["nodeSelector"]["cloud.google.com/gke-provisioning"] == (
        "{{= sprig.int(retries) < 3 ? 'spot' : 'standard' }}"
    )
    assert {toleration["key"] for toleration in train["tolerations"]} == {"nvidia.com/gpu", "cloud.google.com/gke-spot"}
    assert json.loads(train["podSpecPatch"]) == {"terminationGracePeriodSeconds": 25}
    assert train["retryStrategy"]["affinity"] == {"nodeAntiAffinity": {}}
    assert train["synchronization"]["semaphores"] == [{"configMapKeyRef": {"name": "espnet3-semaphores", "key": "gpu"}}]
    assert train["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
    assert {"emptyDir": {"medium": "Memory", "sizeLimit": "4Gi"}, "name": "shm"} in train["volumes"]
    assert train["container"]["image"].endswith("-cuda")


def test_stages_without_a_gpu_stay_off_its_pool(rendered: Rendered) -> None:
    workflow = rendered("gke-gpu", settings="infer: {shards: 4}")
    for name in ("plan", "create-dataset", "collect-stats", "infer-merge", "measure", "report"):
        each = template(workflow, name)
        assert "nvidia.com/gpu" not in each["container"]["resources"]["limits"]
        assert "nodeSelector" not in each
        assert "semaphores" not in each.get("synchronization", {})


def test_several_devices_are_asked_for_as_the_config_says(recipe: Path) -> None:
    training = recipe / "conf" / "training.yaml"
    training.write_text(training.read_text(encoding="utf-8") + "\nnum_device: 4\n", encoding="utf-8")
    workflow = build_workflow(read_run_config(recipe, [], {}), {}, Cluster(read_profile("eks-karpenter"), Digests()))
    assert template(workflow, "train")["container"]["resources"]["limits"]["nvidia.com/gpu"] == "4"


def test_gpus_that_training_would_leave_idle_are_not_asked_for(rendered: Rendered) -> None:
    with pytest.raises(ConfigError, match=r"gives train 4 GPUs, but training_config\.num_device is 1"):
        rendered("gke-gpu", settings="train: {gpu: 4}")
    assert "nvidia.com/gpu" in str(template(rendered("gke-gpu", settings="train: {gpu: 1}"), "train"))
    assert "nvidia.com/gpu" not in str(template(rendered("gke-gpu", settings="train: {gpu: 0}"), "train"))


def test_one_experiment_has_one_mutex(rendered: Rendered, recipe: Path) -> None:
    before = rendered()["spec"]["synchronization"]["mutexes"]
    training = recipe / "conf" / "training.yaml"
    text = training.read_text(encoding="utf-8")
    training.write_text(text.replace("lr: 0.003", "lr: 0.001"), encoding="utf-8")
    assert rendered()["spec"]["synchronization"]["mutexes"] == before
    training.write_text(text.replace("exp_tag: bilstm", "exp_tag: other"), encoding="utf-8")
    assert rendered()["spec"]["synchronization"]["mutexes"] != before


def mutexes(workflow: dict[str, Any]) -> dict[str, list[str]]:
    """The names of each template's, and under `spec` those of the whole."""
    places = [{"name": "spec", **workflow["spec"]}, *workflow["spec"]["templates"]]
    found = {each["name"]: (each.get("synchronization") or {}).get("mutexes") or [] for each in places}
    return {name: [mutex["name"] for mutex in held] for name, held in found.items() if held}


@pytest.mark.parametrize("settings", ["", "collect_stats: {shards: 4}", "collect_stats: {gpu: 1}"])
def test_the_stages_that_make_data_share_a_mutex(rendered: Rendered, settings: str) -> None:
    workflow = rendered("gke-gpu", settings)
    held = mutexes(workflow)
    assert set(held) == {"spec", "create-dataset", "train-tokenizer", "collect-stats"}
    assert len({*itertools.chain(*held.values())}) == 2, "a stage that waited for its run's own would wait forever"
    locked = template(workflow, "collect-stats")["synchronization"]
    assert ("semaphores" in locked) is ("gpu" in settings)


def test_those_stages_are_what_the_system_says() -> None:
    places = ("training_config.data_dir", "training_config.stats_dir")
    assert set(OF_DATA) == {stage for stage, spec in ASRSystem.stage_specs.items() if spec.log_dir in places}


@pytest.mark.parametrize(
    ("changed", "by", "same"),
    [
        ("exp_tag: bilstm", "exp_tag: other", True),
        ("data_dir: data", "data_dir: ./data/", True),
        ("data_dir: data", "data_dir: /workspace/digits/asr/data", True),
        ("data_dir: data", "data_dir: more", False),
        ("data_dir: data", "data_dir: ${exp_dir}", False),
    ],
)
def test_experiments_on_the_same_data_wait_for_each_other(
    rendered: Rendered, recipe: Path, changed: str, by: str, same: bool
) -> None:
    before = mutexes(rendered())
    training = recipe / "conf" / "training.yaml"
    text = training.read_text(encoding="utf-8")
    assert changed in text
    training.write_text(text.replace(changed, by), encoding="utf-8")
    after = mutexes(rendered())
    assert (after["create-dataset"] == before["create-dataset"]) is same
    assert after["spec"] != after["create-dataset"]


def test_only_what_needs_the_internet_is_let_out(rendered: Rendered) -> None:
    workflow = rendered("onprem-nfs")
    networks = {
        each["name"]: each["metadata"]["labels"]["espnet3.org/network"]
        for each in workflow["spec"]["templates"]
        if "container" in each
    }
    assert {name for name, network in networks.items() if network == "internet"} == {"create-dataset"}
    assert env(workflow, "create-dataset")["https_proxy"] == "http://proxy.example.com:3128"
    assert "https_proxy" not in env(workflow, "train")


def test_the_token_is_for_uploads_alone(recipe: Path, profile_file: Write) -> None:
    cluster = Cluster(read_profile(profile_file("token: {existingSecret: hub}")), Digests())
    workflow = build_workflow(publishing_run(recipe), {}, cluster)
    holders = [each for each in workflow["spec"]["templates"] if "secretKeyRef" in json.dumps(each)]
    assert [each["name"] for each in holders] == ["upload-model"]
    assert holders[0]["serviceAccountName"] == "espnet3-publisher"


def publishing_run(recipe: Path) -> RunConfig:
    """A run of every stage; whether its publication config is filled in is up to another test."""
    whole = read_run_config(recipe, ["measure"], {})
    return whole.model_copy(update={"stages": ["measure", "pack_model", "upload_model"]})


def test_a_template_of_workflows_is_the_same_but_for_its_name(rendered: Rendered) -> None:
    workflow, kept = rendered(), rendered(kind="WorkflowTemplate")
    assert kept["kind"] == "WorkflowTemplate"
    assert kept["metadata"].pop("name") + "-" == workflow["metadata"].pop("generateName")
    assert kept == workflow | {"kind": "WorkflowTemplate"}


def test_equal_recipes_make_equal_workflows_wherever_they_lie(rendered: Rendered, digits: RunConfig) -> None:
    there = rendered()
    here = build_workflow(digits, {}, Cluster(read_profile("local"), Digests()))
    assert there == here


@pytest.mark.parametrize(
    ("settings", "image"),
    [
        (StageSettings(), "reg.example.com/s/espnet3-train@sha256:abc"),
        (StageSettings(image="data"), "reg.example.com/s/espnet3-data:7"),
        (StageSettings(image="mine:1"), "mine:1"),
    ],
    ids=["by digest where it was pushed", "else by version", "one of your own"],
)
def test_images(digits: RunConfig, profile_file: Write, settings: StageSettings, image: str) -> None:
    profile = read_profile(profile_file('images: {registry: reg.example.com/s, tag: "7"}'))
    pushed = Digests("reg.example.com/s", "7", {"train": "reg.example.com/s/espnet3-train@sha256:abc"})
    containers = stage_containers(digits, {"train": settings}, Cluster(profile, pushed))
    assert {each.stage: each.image for each in containers}["train"] == image


def test_an_image_that_there_is_not(rendered: Rendered) -> None:
    with pytest.raises(ConfigError, match=r"There is no image trian. Did you mean train"):
        rendered(settings="train: {image: trian}")


def test_a_stage_gets_no_more_than_a_node_has(rendered: Rendered) -> None:
    asked = template(rendered(settings="train: {cpu: 64, memory: 512Gi}"), "train")["container"]["resources"]["limits"]
    assert asked == {"cpu": "1", "memory": "4Gi"}


def test_a_key_that_nobody_reads_is_told_beside_the_workflow(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    training = recipe / "conf" / "training.yaml"
    training.write_text(f"{training.read_text()}\nmy_own: 3\n")
    read_run_config(recipe, [], {})
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("note: conf/training.yaml:")
    assert err.count("training_config.my_own: is not used") == 1

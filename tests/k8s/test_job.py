"""A stage as a plain Job: the same container as in the workflow, and what Argo would have done for it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from espnet3.errors import ConfigError
from espnet3.recipe.run_config import RunConfig
from k8s.containers import Cluster, stage_containers
from k8s.images import Digests
from k8s.job import JobRequest, build_job
from k8s.settings import StageSettings
from k8s.values import read_profile
from k8s.workflow import build_workflow
from tests.k8s.conftest import template

Make = Callable[..., JobRequest]


@pytest.fixture
def request_of(digits: RunConfig) -> Make:
    def make(stage: str, profile: str = "local", shards: int = 1, **asked: bool) -> JobRequest:
        cluster = Cluster(read_profile(profile), Digests())
        settings = {stage: StageSettings(shards=shards)}
        containers = {each.stage: each for each in stage_containers(digits, settings, cluster)}
        return JobRequest(containers[stage], digits, cluster, **asked)

    return make


def job_of(request: JobRequest) -> dict[str, Any]:
    return build_job(request)


def variables(job: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in job["spec"]["template"]["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize("stage", ["create_dataset", "train", "infer", "measure"])
@pytest.mark.parametrize("profile", ["local", "gke-gpu", "onprem-nfs"])
def test_the_container_is_that_of_the_workflow(request_of: Make, digits: RunConfig, stage: str, profile: str) -> None:
    request = request_of(stage, profile)
    in_workflow = template(build_workflow(digits, {}, request.cluster), stage.replace("_", "-"))["container"]
    in_job = job_of(request)["spec"]["template"]["spec"]["containers"][0]
    for key in ("image", "command", "resources", "securityContext", "imagePullPolicy"):
        assert in_job[key] == in_workflow[key]
    of_argo = {"ESPNET3_ATTEMPT", "ESPNET3_FORCE", "ESPNET3_IDEMPOTENCY_KEY"}
    assert in_job["env"] == [each for each in in_workflow["env"] if each["name"] not in of_argo]


def test_it_brings_its_run_config(request_of: Make, digits: RunConfig) -> None:
    pod = job_of(request_of("train"))["spec"]["template"]
    (volume,) = [each for each in pod["spec"]["volumes"] if "downwardAPI" in each]
    (item,) = volume["downwardAPI"]["items"]
    annotation = item["fieldRef"]["fieldPath"].removeprefix("metadata.annotations['").removesuffix("']")
    assert pod["metadata"]["annotations"][annotation] == digits.to_compressed()
    (main,) = pod["spec"]["containers"]
    (place,) = [each["mountPath"] for each in main["volumeMounts"] if each["name"] == volume["name"]]
    assert main["args"] == ["--config", f"{place}/{item['path']}"]


def test_a_whole_stage_counts_its_retries(request_of: Make) -> None:
    spec = job_of(request_of("train"))["spec"]
    assert spec["backoffLimit"] == 10
    assert "completions" not in spec
    assert spec["activeDeadlineSeconds"] == 604800
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 120
    assert spec["template"]["spec"]["restartPolicy"] == "Never", "a podFailurePolicy needs it"


def test_shards_are_an_indexed_job(request_of: Make) -> None:
    job = job_of(request_of("infer", shards=8))
    assert {key: job["spec"][key] for key in ("completionMode", "completions", "parallelism")} == {
        "completionMode": "Indexed",
        "completions": 8,
        "parallelism": 2,
    }
    assert job["spec"]["backoffLimitPerIndex"] == 10
    assert "backoffLimit" not in job["spec"]
    assert variables(job)["ESPNET3_SHARD_COUNT"] == "8"
    assert "ESPNET3_SHARD_INDEX" not in variables(job), "the Job tells it"


@pytest.mark.parametrize(
    ("profile", "shards", "merge", "rounds"),
    [
        ("local", 1, False, 1),
        ("local", 2, False, 1),
        ("local", 3, False, 2),
        ("local", 8, False, 4),
        ("local", 8, True, 1),
        ("gke-gpu", 8, False, 1),
    ],
)
def test_each_round_of_shards_has_the_time_of_a_pod(
    request_of: Make, profile: str, shards: int, merge: bool, rounds: int
) -> None:
    spec = job_of(request_of("infer", profile, shards, merge=merge))["spec"]
    assert spec["activeDeadlineSeconds"] == rounds * 86400
    assert "activeDeadlineSeconds" not in spec["template"]["spec"], "a pod that it stops would be tried again"


@pytest.mark.parametrize(("shards", "longest"), [(1, 63), (2, 61), (11, 60), (101, 59)])
def test_a_long_name_leaves_room_for_the_index(request_of: Make, digits: RunConfig, shards: int, longest: int) -> None:
    recipe = digits.recipe.model_copy(update={"name": f"{'digits' * 9}/asr"})
    request = dataclasses.replace(request_of("infer", shards=shards), run=digits.model_copy(update={"recipe": recipe}))
    name = job_of(request)["metadata"]["name"]
    assert len(name) == longest
    assert len(name + (f"-{shards - 1}" if shards > 1 else "")) == 63


def test_the_merge_is_a_job_of_its_own(request_of: Make) -> None:
    shards = request_of("infer", "gke-gpu", 8)
    job = job_of(request_of("infer", "gke-gpu", 8, merge=True))
    assert variables(job)["ESPNET3_SHARD_INDEX"] == "merge"
    assert job["metadata"]["name"] != job_of(shards)["metadata"]["name"]
    assert "nvidia.com/gpu" not in job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]


def test_there_may_be_nothing_to_merge(request_of: Make) -> None:
    with pytest.raises(ConfigError, match="infer runs whole"):
        build_job(request_of("infer", merge=True))


def test_it_may_be_forced_and_its_pods_know_that_they_are_of_one_job(request_of: Make) -> None:
    env = job_of(request_of("train", force=True))["spec"]["template"]["spec"]["containers"][0]["env"]
    found = {each["name"]: each for each in env}
    assert found["ESPNET3_FORCE"]["value"] == "train"
    uid = "metadata.labels['batch.kubernetes.io/controller-uid']"
    assert found["ESPNET3_IDEMPOTENCY_KEY"]["valueFrom"] == {"fieldRef": {"fieldPath": uid}}
    assert "FORCE" not in str(job_of(request_of("train")))


def test_a_job_goes_to_the_on_demand_nodes(request_of: Make) -> None:
    pod = job_of(request_of("train", "gke-gpu"))["spec"]["template"]["spec"]
    assert pod["nodeSelector"]["cloud.google.com/gke-provisioning"] == "standard"
    assert "{{" not in str(pod)

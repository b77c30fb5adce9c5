"""Rendered workflows on Argo, where its programs or an installation are found; else each test says what is missing."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import argo as programs
from tests.cluster import install, stage_jobs
from tests.cluster.kube import Cluster, pod_of, until
from tests.egs3.digits_run import STAGES, Digits
from tests.trees import differences, products, read_tree

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
RENDERED = sorted((ROOT / "k8s" / "rendered").rglob("*.yaml"))
PROFILES = sorted(file.stem for file in (ROOT / "k8s" / "profiles").glob("*.yaml"))
UPLOADS = ["upload_model", "upload_demo"]


def submit(cluster: Cluster, recipe: Digits, folder: Path, *words: str) -> str:
    """Render a recipe and submit it."""
    file = folder / "workflow.yaml"
    file.write_text(stage_jobs.k8s("render", recipe), encoding="utf-8")
    return programs.submit(cluster, file, *words)


def succeed(cluster: Cluster, name: str, seconds: float = 600) -> dict[str, Any]:
    """Wait for a workflow, or show what its failed pods say."""
    state = programs.finished(cluster, name, seconds)
    assert state["phase"] == "Succeeded", programs.messages(state)
    return state


@pytest.mark.parametrize("file", RENDERED, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_argo_finds_no_fault_in_a_rendered_workflow(anywhere: Cluster, file: Path) -> None:
    programs.call(anywhere, "lint", "--offline", str(file))


def takes(cluster: Cluster, file: Path) -> str:
    """The kind and name under which the API server would keep a workflow, which it holds to Argo's own schema."""
    return cluster.kubectl("create", "--dry-run=server", "--validate=strict", "--output=name", f"--filename={file}")


@pytest.mark.parametrize("file", RENDERED, ids=lambda file: file.stem)
def test_the_api_server_takes_a_rendered_workflow(argo: Cluster, file: Path) -> None:
    assert takes(argo, file).startswith("workflow.argoproj.io/")


@pytest.mark.parametrize("profile", PROFILES)
def test_the_api_server_takes_all_stages_and_200_shards(argo: Cluster, profile: str, tmp_path: Path) -> None:
    recipe = stage_jobs.new(tmp_path, "large")
    recipe.write("conf/workflow.yaml", "infer: {shards: 200}\ncollect_stats: {shards: 20}\n")
    recipe.edit("conf/publication.yaml", "repo: null", "repo: me/digits")
    file = tmp_path / "workflow.yaml"
    file.write_text(stage_jobs.k8s("render", recipe, "--stages", *STAGES, *UPLOADS, profile=profile), encoding="utf-8")
    assert takes(argo, file).startswith("workflow.argoproj.io/")
    assert {"upload-model", "upload-demo"} <= {each["name"] for each in rendered(file)["spec"]["templates"]}


def rendered(file: Path) -> dict[str, Any]:
    """A rendered workflow."""
    return dict(yaml.safe_load(file.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def first(argo: Cluster, undisturbed: Digits, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The whole recipe, submitted once, in a workspace where nothing was made."""
    install.remove(argo, "tiny")
    return succeed(argo, submit(argo, undisturbed, tmp_path_factory.mktemp("first")))


def test_a_recipe_runs_from_the_first_stage_to_the_last(
    argo: Cluster, first: dict[str, Any], undisturbed: Digits, tmp_path: Path
) -> None:
    assert programs.ran(first) == ["plan", *(stage.replace("_", "-") for stage in STAGES), "report"]
    there = install.fetch(argo, "tiny/asr", tmp_path)
    assert differences(products(undisturbed.folder), products(there)) == []
    assert read_tree(undisturbed.folder).keys() == read_tree(there).keys()
    outcome = json.loads(next(there.glob(".runs/*/outcome.json")).read_text(encoding="utf-8"))
    assert outcome["status"] == "Succeeded"
    assert all(stage["done"] for stage in outcome["stages"].values())


def test_a_second_submit_finds_all_done_within_30_seconds(
    argo: Cluster, first: dict[str, Any], undisturbed: Digits, tmp_path: Path
) -> None:
    begin = time.monotonic()
    state = succeed(argo, submit(argo, undisturbed, tmp_path), 60)
    assert time.monotonic() - begin < 30
    assert programs.ran(state) == ["plan", "report"]


def test_an_entrypoint_runs_one_stage_of_the_same_file(
    argo: Cluster, first: dict[str, Any], undisturbed: Digits, tmp_path: Path
) -> None:
    state = succeed(argo, submit(argo, undisturbed, tmp_path, "--entrypoint=measure", "--parameter=force=measure"))
    assert programs.ran(state) == ["measure", "report"]


def delete(cluster: Cluster, pod: str) -> None:
    cluster.kubectl("delete", "pod", pod, "--wait=false")


def evict(cluster: Cluster, pod: str) -> None:
    metadata = {"name": pod, "namespace": cluster.namespace}
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    path = f"/api/v1/namespaces/{cluster.namespace}/pods/{pod}/eviction"
    cluster.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))


def end_with_75(cluster: Cluster, pod: str) -> None:
    """What a node's warning does to the stage alone: SIGTERM, after which it saves and ends with 75."""
    program = (
        "import os, pathlib, signal\n"
        "for entry in pathlib.Path('/proc').glob('[0-9]*'):\n"
        "    words = (entry / 'cmdline').read_bytes().split(b'\\0')\n"
        "    if words[0].endswith(b'python') and b'stages.train' in words: os.kill(int(entry.name), signal.SIGTERM)\n"
    )
    cluster.kubectl("exec", pod, "--container=main", "--", "python", "-c", program)


@pytest.mark.parametrize("disturb", [delete, evict, end_with_75], ids=["deleted", "evicted", "ended with 75"])
def test_a_preempted_training_goes_on_to_the_same_bits(
    argo: Cluster, undisturbed_long: Digits, disturb: Callable[[Cluster, str], None], tmp_path: Path
) -> None:
    install.remove(argo, "long/asr/exp")
    name = submit(argo, undisturbed_long, tmp_path)
    training = f"workflows.argoproj.io/workflow={name},espnet3.org/stage=train"
    pod = until(lambda: pod_of(argo, training), 180, "a pod that trains")
    until(lambda: stage_jobs.saved(argo, "long/asr"), 120, "a checkpoint")
    disturb(argo, pod["metadata"]["name"])
    state = succeed(argo, name)
    attempts = [node for node in programs.nodes(state) if node["templateName"] == "train"]
    assert len(attempts) == 2, programs.messages(state)
    assert attempts[0]["phase"] in ("Failed", "Error")
    there = install.fetch(argo, "long/asr", tmp_path / "there")
    assert differences(products(undisturbed_long.folder), products(there)) == []


def test_a_failing_stage_stops_the_rest_and_the_exit_handler_tells_why(argo: Cluster, tmp_path: Path) -> None:
    recipe = stage_jobs.new(tmp_path, "failing")
    recipe.edit("conf/tiny.yaml", *stage_jobs.WRONG)
    state = programs.finished(argo, submit(argo, recipe, tmp_path), 300)
    assert state["phase"] == "Failed"
    assert programs.ran(state) == ["plan", "create-dataset", "train-tokenizer", "collect-stats", "train", "report"]
    assert len([node for node in programs.nodes(state) if node["templateName"] == "train"]) == 1
    there = install.fetch(argo, "failing/asr", tmp_path / "there")
    outcome = json.loads(next(there.glob(".runs/*/outcome.json")).read_text(encoding="utf-8"))
    assert outcome["status"] == "Failed"
    assert "train" in json.dumps(outcome["failures"])
    assert not outcome["stages"]["train"]["done"]

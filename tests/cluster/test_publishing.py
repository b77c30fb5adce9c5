"""Recipes from audio to a model on the Hub: every stage on the cluster, with the tests' own Hub on its node."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import argo as programs
from tests.cluster import install, stage_jobs
from tests.cluster.kube import Cluster
from tests.cluster.onenode.places import NODE_ADDRESS
from tests.egs3.digits_run import ALL_STAGES, Digits
from tests.egs3.published import unpublished
from tests.hub.server import HubServer, serving

pytestmark = pytest.mark.slow
TOKEN = "hf_writer"  # the tests' Hub takes it
AN4 = os.environ.get("ESPNET3_AN4_ARCHIVE", "")
CORPUS = "/workspace/an4_sphere.tar.gz"


@pytest.fixture(scope="module")
def hub(chart: Cluster) -> Iterator[HubServer]:
    """A Hub that upload stages alone reach, and the token in a Secret, as k8s/README.md says."""
    if not chart.own:
        pytest.skip("the tests' Hub is within reach of our own cluster only")
    chart.kubectl("create", "secret", "generic", "hub", f"--from-literal=token={TOKEN}")
    with serving(NODE_ADDRESS) as server:
        install.helm(chart, "upgrade", *install.network_rules(chart, int(server.address.rpartition(":")[2])))
        yield server
    chart.kubectl("delete", "secret", "hub")


@pytest.fixture
def profile(hub: HubServer, tmp_path: Path) -> str:
    """The tests' profile with that Hub and its token."""
    content: dict[str, Any] = yaml.safe_load(Path(f"k8s/profiles/{install.PROFILE}.yaml").read_text(encoding="utf-8"))
    hub.reset()
    content |= {
        "hub": {"endpoint": hub.address},
        "token": {"existingSecret": "hub"},
        "environment": {"HF_HUB_DISABLE_XET": "1"},
    }
    file = tmp_path / "profile.yaml"
    file.write_text(yaml.safe_dump(content), encoding="utf-8")
    return str(file)


def test_all_nine_stages_run_as_jobs(chart: Cluster, hub: HubServer, profile: str, tmp_path: Path) -> None:
    recipe = stage_jobs.new(tmp_path, "published")
    recipe.publish()
    jobs = stage_jobs.run(chart, recipe, ALL_STAGES, profile=profile)
    assert unpublished(hub, install.fetch(chart, "published/asr/exp/tiny", tmp_path / "there")) == []
    accounts = {stage: job.pods()[0]["spec"]["serviceAccountName"] for stage, job in jobs.items()}
    assert {stage for stage, account in accounts.items() if account == "espnet3-publisher"} == {
        "upload_model",
        "upload_demo",
    }
    assert all(TOKEN not in job.logs() for job in jobs.values())


def an4(folder: Path) -> Digits:
    """The AN4 recipe with a training of one epoch, which finds the corpus on the workspace."""
    recipe = Digits(folder / "an4" / "asr")
    ignored = shutil.ignore_patterns("data", "exp", "__pycache__")
    shutil.copytree(install.ROOT / "egs3" / "an4" / "asr", recipe.folder, ignore=ignored)
    recipe.edit("conf/training_smoke.yaml", "max_epochs: 3", "max_epochs: 1")
    recipe.publish()
    return recipe


@pytest.mark.skipif(not AN4, reason="ESPNET3_AN4_ARCHIVE does not name the AN4 archive")
@pytest.mark.parametrize("way", ["jobs", "argo"])
def test_an4_runs_on_real_speech(
    chart: Cluster, hub: HubServer, profile: str, way: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if way == "argo":
        request.getfixturevalue("argo")
    recipe = an4(tmp_path)
    install.remove(chart, "an4")
    install.put(chart, Path(AN4), CORPUS)
    {"jobs": run_jobs, "argo": run_workflow}[way](chart, recipe.folder, profile)
    there = install.fetch(chart, "an4/asr/exp/smoke", tmp_path / "there")
    assert '"wer_reference_words": 773' in (there / "greedy" / "metrics.json").read_text(encoding="utf-8")
    assert unpublished(hub, there) == []


def render(command: str, folder: Path, *words: str, profile: str) -> str:
    """What `python -m k8s` prints of the AN4 recipe's short training."""
    smoke = ["--training_config", str(folder / "conf" / "training_smoke.yaml")]
    return stage_jobs.k8s_of(command, folder, *words, *smoke, profile=profile, ESPNET3_AN4_ARCHIVE=CORPUS)


def run_jobs(cluster: Cluster, folder: Path, profile: str) -> None:
    """Every stage as a Job."""
    for stage in ALL_STAGES:
        stage_jobs.start_text(cluster, render("job", folder, stage, profile=profile)).succeed(600)


def run_workflow(cluster: Cluster, folder: Path, profile: str) -> None:
    """Every stage in one workflow."""
    file = folder / "workflow.yaml"
    file.write_text(render("render", folder, profile=profile), encoding="utf-8")
    state = programs.finished(cluster, programs.submit(cluster, file), 1200)
    assert state["phase"] == "Succeeded", programs.messages(state)
    assert programs.ran(state) == ["plan", *(stage.replace("_", "-") for stage in ALL_STAGES), "report"]

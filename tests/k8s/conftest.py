"""A recipe and a cluster to render for, and the workflow as plain values."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from espnet3.recipe.run_config import RunConfig
from k8s.containers import Cluster
from k8s.images import Digests
from k8s.recipe import read_run_config
from k8s.settings import read_settings
from k8s.values import ROOT, read_profile
from k8s.workflow import Kind, build_workflow

DIGITS = ROOT / "egs3" / "digits" / "asr"


@pytest.fixture(scope="session")
def digits() -> RunConfig:
    return read_run_config(DIGITS, [], {})


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A copy of the digits recipe that a test may change."""
    target = tmp_path / "egs3" / "digits" / "asr"
    shutil.copytree(DIGITS, target, ignore=shutil.ignore_patterns("data", "exp", "logs", "speech", "__pycache__"))
    return target


@pytest.fixture
def profile_file(tmp_path: Path) -> Callable[[str], str]:
    """Write a profile; gives what --profile takes."""

    def write(text: str) -> str:
        path = tmp_path / "cluster.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


Rendered = Callable[..., dict[str, Any]]


@pytest.fixture
def rendered(recipe: Path) -> Rendered:
    """The workflow of the recipe on a cluster, with `conf/workflow.yaml` as given."""

    def render(profile: str = "local", settings: str = "", kind: Kind = "Workflow") -> dict[str, Any]:
        (recipe / "conf" / "workflow.yaml").write_text(settings, encoding="utf-8")
        run = read_run_config(recipe, [], {})
        cluster = Cluster(read_profile(profile), Digests())
        return build_workflow(run, read_settings(recipe, run.stages), cluster, kind)

    return render


def template(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [each for each in workflow["spec"]["templates"] if each["name"] == name]
    assert len(found) == 1, f"{name} is there {len(found)} times"
    return found[0]


def env(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    """The variables of a template's container that are plain texts."""
    variables = template(workflow, name)["container"]["env"]
    return {variable["name"]: variable.get("value") for variable in variables}

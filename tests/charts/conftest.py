"""Renders the chart with the pinned Helm, or skips."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts import programs

CHART = Path(__file__).parent.parent.parent / "charts" / "espnet3"
Object = dict[str, Any]
Render = Callable[..., list[Object]]
Helm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def helm(tmp_path: Path) -> Helm:
    """Runs Helm's words, keeping its own files apart from the user's."""
    program = programs.program("helm")
    if program is None:
        pytest.skip(programs.HOW)
    homes = {f"HELM_{kind}_HOME": str(tmp_path / "helm" / kind) for kind in ("CACHE", "CONFIG", "DATA")}
    environment = {**os.environ, **homes, "KUBECONFIG": str(tmp_path / "none")}

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def template(helm: Helm, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`helm template` with values laid over the chart's."""

    def run(values: Object, *more: str | Path) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        return helm("template", "release", CHART, "--namespace", "speech", "--values", file, *more)

    return run


@pytest.fixture
def render(template: Callable[..., subprocess.CompletedProcess[str]]) -> Render:
    """The objects that the chart makes of some values."""

    def run(values: Object | None = None, *more: str | Path) -> list[Object]:
        answer = template(values or {}, *more)
        assert answer.returncode == 0, answer.stderr
        return [item for item in yaml.safe_load_all(answer.stdout) if item]

    return run


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of that kind and name."""
    (found,) = [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name]
    return found

"""Renders the chart with the pinned Helm, or skips."""

import os
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.charts import programs

CHART = Path(__file__).parent.parent.parent / "charts" / "espnet3"
Object = dict[str, Any]
Render = Callable[..., list[Object]]
Template = Callable[[Object], subprocess.CompletedProcess[str]]
Helm = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def helm(tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Runs Helm's words, keeping its own files apart from the user's."""
    program = programs.program("helm")
    if program is None:
        pytest.skip(programs.HOW)
    home = tmp_path_factory.mktemp("helm")
    homes = {f"HELM_{kind}_HOME": str(home / kind) for kind in ("CACHE", "CONFIG", "DATA")}
    environment = {**os.environ, **homes, "KUBECONFIG": str(home / "none")}

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([program, *words], env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="session")
def template(helm: Helm, tmp_path_factory: pytest.TempPathFactory) -> Template:
    """`helm template` with values laid over the chart's; the same values are rendered once."""
    folder = tmp_path_factory.mktemp("values")

    @cache
    def rendered(text: str) -> subprocess.CompletedProcess[str]:
        file = folder / f"{rendered.cache_info().currsize}.yaml"
        file.write_text(text, encoding="utf-8")
        return helm("template", "release", CHART, "--namespace", "speech", "--values", file)

    return lambda values: rendered(yaml.safe_dump(values))


@pytest.fixture(scope="session")
def render(template: Template) -> Render:
    """The objects that the chart makes of some values."""

    def run(values: Object | None = None) -> list[Object]:
        answer = template(values or {})
        assert answer.returncode == 0, answer.stderr
        return [item for item in yaml.safe_load_all(answer.stdout) if item]

    return run


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of that kind and name."""
    (found,) = [item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name]
    return found

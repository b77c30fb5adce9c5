"""The demo as a Deployment: what it shows, how it is probed, and who may speak to it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from espnet3.demo.settings import HEALTH_PATH, PORT
from espnet3.runtime.versions import package_version
from k8s.__main__ import main


@pytest.fixture
def objects(recipe: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["demo", str(recipe), "--profile", "onprem-nfs"]) == 0
    return {each["kind"]: each for each in yaml.safe_load_all(capsys.readouterr().out)}


def test_it_shows_the_packed_folder_on_the_workspace(objects: dict[str, Any]) -> None:
    pod = objects["Deployment"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert container["command"][-1] == "espnet3.demo.app"
    assert container["args"][0].startswith("/workspace/digits/asr/")
    assert {"mountPath": "/workspace", "name": "workspace", "readOnly": True} in container["volumeMounts"]
    assert container["image"] == f"registry.example.com/speech/espnet3-demo:{package_version()}"
    assert "command" in container
    assert pod["automountServiceAccountToken"] is False


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_it_is_probed(objects: dict[str, Any], probe: str) -> None:
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    assert container[probe]["httpGet"] == {"path": HEALTH_PATH, "port": "http"}
    assert container["ports"] == [{"name": "http", "containerPort": PORT}]


def test_service_and_rule_find_its_pods(objects: dict[str, Any]) -> None:
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for selector in (
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()


def test_a_recipe_without_a_demo_says_so(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe / "conf" / "publication.yaml").unlink()
    assert main(["demo", str(recipe), "--profile", "local"]) == 78
    assert "publication" in capsys.readouterr().err

"""The shell: a pod with the stages' volumes and rights, in the pool for cpu."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.__main__ import main
from k8s.values import PROFILES


def shell(profile: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["shell", "--profile", profile]) == 0
    pod: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return pod


@pytest.mark.parametrize("profile", sorted(file.stem for file in PROFILES.glob("*.yaml")))
def test_it_writes_as_the_stages_do(profile: str, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pod = shell(profile, capsys)["spec"]
    assert main(["job", str(recipe), "create_dataset", "--profile", profile]) == 0
    stage = yaml.safe_load(capsys.readouterr().out)["spec"]["template"]["spec"]
    for key in ("securityContext", "serviceAccountName", "imagePullSecrets", "nodeSelector", "tolerations"):
        assert pod.get(key) == stage.get(key), key
    for key in ("image", "securityContext"):
        assert pod["containers"][0][key] == stage["containers"][0][key], key
    assert pod["restartPolicy"] == "Never"


def test_it_has_every_volume_for_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "corpora.yaml"
    profile.write_text("data: {enabled: true, existingClaim: corpora, mountPath: /corpora}\n", encoding="utf-8")
    pod = shell(str(profile), capsys)["spec"]
    claimed = [each for each in pod["volumes"] if "persistentVolumeClaim" in each]
    claims = {each["name"]: each["persistentVolumeClaim"]["claimName"] for each in claimed}
    assert claims == {"workspace": "espnet3-workspace", "data": "corpora"}
    mounts = {each["name"]: each["mountPath"] for each in pod["containers"][0]["volumeMounts"]}
    assert mounts == {"workspace": "/workspace", "data": "/corpora", "tmp": "/tmp"}
    assert pod["containers"][0]["workingDir"] == "/workspace"


def test_it_carries_the_profiles_annotations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "mesh.yaml"
    profile.write_text('annotations: {pod: {sidecar.istio.io/inject: "false"}}\n', encoding="utf-8")
    assert shell(str(profile), capsys)["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}


def test_a_misspelt_profile_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "misspelt.yaml"
    profile.write_text("datta: {enabled: true}\n", encoding="utf-8")
    assert main(["shell", "--profile", str(profile)]) == 78
    assert "datta" in capsys.readouterr().err

"""`python -m k8s` as it is typed: what it prints, how it fails, and that it is quick and light."""

import base64
import json
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from k8s.__main__ import main
from k8s.values import PROFILES, ROOT

RENDERED = ROOT / "k8s" / "rendered"
RECIPES = ("digits", "an4")
PAIRS = [(recipe, profile.stem) for recipe in RECIPES for profile in sorted(PROFILES.glob("*.yaml"))]
ARGO = os.environ.get("ARGO") or "argo"


def lint(*files: Path) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            [ARGO, "lint", "--offline", *map(str, files)], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("argo is neither on the PATH nor named by the variable ARGO")


def expanded(text: str) -> str:
    """With run configs readable: two builds of zlib may compress the same text differently."""

    def expand(found: "re.Match[str]") -> str:
        return zlib.decompress(base64.b64decode(found[1])).decode()

    return re.sub(r"data: (eN[A-Za-z0-9+/=]+)", expand, text)


@pytest.mark.parametrize(("recipe", "profile"), PAIRS)
def test_the_committed_workflows_are_those_of_today(
    recipe: str, profile: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("ESPNET3_AN4_ARCHIVE", raising=False)
    assert main(["render", f"egs3/{recipe}/asr", "--profile", profile]) == 0
    committed = (RENDERED / f"{recipe}-{profile}.yaml").read_text(encoding="utf-8")
    assert expanded(capsys.readouterr().out) == expanded(committed), "run make render and commit what it changes"


def test_nothing_else_is_committed_there() -> None:
    assert {file.stem for file in RENDERED.iterdir()} == {f"{recipe}-{profile}" for recipe, profile in PAIRS}


def test_argo_accepts_the_committed_workflows() -> None:
    linted = lint(*sorted(RENDERED.glob("*.yaml")))
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
def test_argo_accepts_shards(kind: str, recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (recipe / "conf" / "workflow.yaml").write_text("infer: {shards: 200}\ncollect_stats: {shards: 3}\n", "utf-8")
    assert main(["render", str(recipe), "--profile", "eks-karpenter", "--kind", kind]) == 0
    (tmp_path / "run.yaml").write_text(capsys.readouterr().out, encoding="utf-8")
    linted = lint(tmp_path / "run.yaml")
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_it_is_quick_and_light() -> None:
    """Without torch, without a client of the cluster, in under three seconds."""
    code = (
        "import sys; from k8s.__main__ import main; "
        "main(['render', 'egs3/digits/asr', '--profile', 'gke-gpu']); "
        "sys.stderr.write(' '.join(name for name in ('torch', 'lightning', 'kubernetes') if name in sys.modules))"
    )
    before = sum(os.times()[2:4])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    seconds = sum(os.times()[2:4]) - before
    assert done.stderr == ""
    assert yaml.safe_load(done.stdout)["kind"] == "Workflow"
    assert seconds < 3, "of processor time, which a busy machine does not change"


def test_a_job_is_printed_with_its_run_config(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["job", str(recipe), "measure", "--profile", "local"]) == 0
    kinds = [each["kind"] for each in yaml.safe_load_all(capsys.readouterr().out)]
    assert kinds == ["Job"], "who repeats it may not delete more"


@pytest.mark.parametrize(
    ("words", "warned"),
    [
        (["render", "--stages", "train", "upload_model", "upload_demo"], "upload_model and upload_demo"),
        (["job", "upload_model"], "upload_model"),
        (["render", "--stages", "train"], ""),
    ],
    ids=["workflow", "job", "no upload"],
)
def test_an_upload_without_a_token_is_told(
    recipe: Path, words: list[str], warned: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, *rest = words
    assert main([command, str(recipe), *rest, "--profile", "local"]) == 0
    told = capsys.readouterr().err
    assert (f"WARNING: {warned} will have no token for the Hub" in told) == bool(warned)
    assert "existingSecret" in told or not warned


def test_an_upload_with_a_token_is_not(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "own.yaml"
    profile.write_text((PROFILES / "local.yaml").read_text("utf-8") + "token: {existingSecret: hub}\n", "utf-8")
    assert main(["job", str(recipe), "upload_model", "--profile", str(profile)]) == 0
    assert "token for the Hub" not in capsys.readouterr().err


def test_a_part_is_printed_where_workflow_yaml_speaks_of_the_rest(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (recipe / "conf" / "workflow.yaml").write_text("infer: {shards: 3}\n", encoding="utf-8")
    assert main(["job", str(recipe), "create_dataset", "--profile", "local"]) == 0
    assert main(["render", str(recipe), "--stages", "train", "--profile", "local"]) == 0
    assert "infer" not in capsys.readouterr().err


def test_flags_for_configs_are_those_of_run_py(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = recipe / "conf" / "other.yaml"
    text = (recipe / "conf" / "training.yaml").read_text(encoding="utf-8")
    other.write_text(text.replace("exp_tag: bilstm", "exp_tag: other"), encoding="utf-8")
    flags = ["--stages", "train", "measure", "--training_config", str(other)]
    assert main(["render", str(recipe), "--profile", "local", *flags]) == 0
    workflow: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    assert workflow["spec"]["synchronization"]["mutexes"][0]["name"].startswith("workspace-digits-asr-exp-other")
    assert "infer" not in [each["name"] for each in workflow["spec"]["templates"]]


def test_no_path_of_this_machine_is_printed(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(recipe), "--profile", "local"]) == 0
    body = capsys.readouterr().out.partition("\n")[2]
    assert str(recipe.parent) not in expanded(body)
    assert json.dumps(str(ROOT)) not in expanded(body)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "nowhere", "--profile", "local"], "is not a recipe"),
        (["render", "RECIPE", "--profile", "nowhere"], "There is no profile nowhere"),
        (["render", "RECIPE", "--profile", "local", "--stages", "trian"], "did you mean train?"),
        (["render", "RECIPE", "--profile", "local", "--training_config", "a.yaml"], "a.yaml does not exist"),
        (["job", "RECIPE", "trian", "--profile", "local"], "did you mean train?"),
        (["job", "RECIPE", "train", "--profile", "local", "--merge"], "train runs whole"),
    ],
)
def test_what_is_wrong_is_one_message(
    arguments: list[str], said: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(recipe) if each == "RECIPE" else each for each in arguments]) == 78
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert "Traceback" not in captured.err

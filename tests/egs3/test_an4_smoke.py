"""The AN4 recipe on the real corpus, for three epochs: every stage passes, the loss falls, the Hub has the model."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.egs3.digits_run import ALL_STAGES, Digits
from tests.egs3.published import assert_published
from tests.hub.fixtures import alone, hub
from tests.hub.server import HubServer

__all__ = ["alone", "hub"]
RECIPE = Path(__file__).parent.parent.parent / "egs3" / "an4" / "asr"


def run(recipe: Path, *arguments: str) -> list[str]:
    """The stages that ran."""
    command = [sys.executable, str(recipe / "run.py"), "--training_config", "conf/training_smoke.yaml", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=recipe, check=False)
    assert done.returncode == 0, done.stderr
    return re.findall(r"DONE (\w+)", done.stdout)


@pytest.mark.slow
@pytest.mark.skipif("ESPNET3_AN4_ARCHIVE" not in os.environ, reason="ESPNET3_AN4_ARCHIVE does not name the AN4 archive")
def test_three_epochs_pass_every_stage_and_lower_the_loss(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    recipe = tmp_path / "an4" / "asr"
    shutil.copytree(RECIPE, recipe, ignore=shutil.ignore_patterns("data", "exp", "__pycache__"))
    Digits(recipe).publish()
    assert run(recipe) == ALL_STAGES
    run(recipe, "--inference_config", "conf/inference_beam.yaml", "--stages", "infer", "measure")

    experiment = recipe / "exp" / "smoke"
    assert_published(hub, experiment)
    with (experiment / "metrics.csv").open(encoding="utf-8") as file:
        losses = [float(row["valid/loss"]) for row in csv.DictReader(file) if row.get("valid/loss")]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)
    for decoding in ("greedy", "beam"):
        scores = json.loads((experiment / decoding / "metrics.json").read_text(encoding="utf-8"))
        assert scores["test"]["wer_reference_words"] == 773
        assert (experiment / decoding / "report.html").stat().st_size > 10_000
    files = [path for path in (experiment / "model_pack").rglob("*") if path.is_file() and path.suffix != ".onnx"]
    assert sum(path.stat().st_size for path in files) <= 20e6

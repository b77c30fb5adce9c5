"""The AN4 recipe on the real corpus, for three epochs: every stage passes and the loss falls."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parent.parent.parent / "egs3" / "an4" / "asr"


def run(recipe: Path, *arguments: str) -> None:
    command = [sys.executable, str(recipe / "run.py"), "--training_config", "conf/training_smoke.yaml", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=recipe, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif("ESPNET3_AN4_ARCHIVE" not in os.environ, reason="ESPNET3_AN4_ARCHIVE does not name the AN4 archive")
def test_three_epochs_pass_every_stage_and_lower_the_loss(tmp_path: Path) -> None:
    recipe = tmp_path / "an4" / "asr"
    shutil.copytree(RECIPE, recipe, ignore=shutil.ignore_patterns("data", "exp", "__pycache__"))
    run(recipe)
    run(recipe, "--inference_config", "conf/inference_beam.yaml", "--stages", "infer", "measure")

    experiment = recipe / "exp" / "smoke"
    with (experiment / "metrics.csv").open(encoding="utf-8") as file:
        losses = [float(row["valid/loss"]) for row in csv.DictReader(file) if row.get("valid/loss")]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)
    for decoding in ("greedy", "beam"):
        scores = json.loads((experiment / decoding / "metrics.json").read_text(encoding="utf-8"))
        assert scores["test"]["wer_reference_words"] == 773
        assert (experiment / decoding / "report.html").stat().st_size > 10_000

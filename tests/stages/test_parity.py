"""run.py in one process and a process per stage from a run config leave the same files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.egs3.digits_run import STAGES, Digits
from tests.trees import differences, read_tree

pytestmark = pytest.mark.slow


def run_stage(stage: str, place: Path, config: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"stages.{stage}", "--config", str(config)],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
    )


def test_containers_leave_what_run_py_leaves(tmp_path: Path) -> None:
    recipe = Digits.new(tmp_path / "recipe")
    config = tmp_path / "elsewhere/run.yaml"
    config.parent.mkdir()
    config.write_text(recipe.run("--print_config").stdout, encoding="utf-8")
    ran = recipe.run()
    assert ran.returncode == 0, ran.stderr

    place = tmp_path / "workspace/digits/asr"
    place.mkdir(parents=True)
    results = {}
    for stage in STAGES:
        outcome = tmp_path / f"{stage}.json"
        ran = run_stage(stage, place, config, ESPNET3_OUTCOME_FILE=str(outcome))
        assert ran.returncode == 0, ran.stdout + ran.stderr
        results[stage] = json.loads(outcome.read_text(encoding="utf-8"))["result"]
    assert differences(read_tree(recipe.folder), read_tree(place)) == []
    assert sorted(path.name for path in place.iterdir()) == [".runs", "data", "exp"]

    told = {stage: sorted(result) for stage, result in results.items() if result}
    assert told == {
        "collect_stats": ["train", "valid"],
        "train": ["averaged_epochs", "step", "valid/loss"],
        "infer": ["unseen"],
        "measure": ["unseen"],
    }
    assert results["collect_stats"]["valid"]["utterances"] == results["collect_stats"]["train"]["utterances"] > 0
    assert results["train"]["averaged_epochs"] == [2, 3]
    assert 0 < results["infer"]["unseen"]["real_time_factor"] < 1
    assert results["infer"]["unseen"]["backend"] == "torch float32"

    # What is done in one way is done in the other.
    other = Digits.new(tmp_path / "other")
    for name in ("data", "exp"):
        (place / name).rename(other.folder / name)
        (recipe.folder / name).rename(place / name)
    assert other.stages_run_by() == []
    again = run_stage("train", place, config)
    assert (again.returncode, again.stdout) == (0, "train: already done; ESPNET3_FORCE=train does it again\n")


def test_the_plan_of_a_recipe_loads_no_torch(tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text(Digits.new(tmp_path / "recipe").run("--print_config").stdout, encoding="utf-8")
    command = [sys.executable, "-X", "importtime", "-m", "stages", "plan", "--config", str(config)]
    planned = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in planned.stderr.splitlines() if "import time:" in line}
    assert "omegaconf" in imported
    assert {"torch", "numpy", "huggingface_hub"} & imported == set()

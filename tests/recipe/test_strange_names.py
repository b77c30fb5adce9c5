"""Names that are not UTF-8, of recipes, configs and data: written as escapes, or refused with a sentence."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.errors import DataError
from tests.recipe.toy_recipe import ROOT, Recipe

STRANGE = os.fsdecode(b"w\xff\xe9")
SHOWN = "w\\udcff\\udce9"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def said(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    return done.stderr + done.stdout


@pytest.mark.parametrize("flags", [["--print_config"], ["--dry_run"], []], ids=["print", "plan", "run"])
def test_a_recipe_in_a_folder_of_such_a_name_runs(tmp_path: Path, flags: list[str]) -> None:
    recipe = Recipe(tmp_path / STRANGE / "asr")
    text = said(run(recipe.folder, "run.py", *flags), 0)
    assert SHOWN in text or flags


@pytest.mark.parametrize("name", ["src/{}.py", "dataset/{}/a.py"])
def test_code_of_such_a_name_is_refused_before_anything_is_done(recipe: Recipe, name: str) -> None:
    recipe.write(name.format(STRANGE), "")
    text = said(run(recipe.folder, "run.py"), 78)
    assert f"{name.format(SHOWN)} has a name that other systems cannot have" in text
    assert not (recipe.folder / "data").exists()


@pytest.mark.parametrize("name", ["dataset/{}.txt", "LICENSE.{}"])
def test_a_text_of_such_a_name_does_not_travel_which_is_told(recipe: Recipe, name: str) -> None:
    recipe.write(name.format(STRANGE), "")
    done = run(recipe.folder, "run.py", "--print_config")
    assert f"{name.format(SHOWN)} has a name" in said(done, 0)
    assert "files of the recipe do not travel" in done.stderr


def test_a_file_that_stays_is_left_alone(recipe: Recipe) -> None:
    for name in ("conf/{}.yaml", "data/{}.wav", "notes/{}"):
        recipe.write(name.format(STRANGE), "")
    said(run(recipe.folder, "run.py"), 0)


COMMANDS = {
    "a config": (["run.py", "--training_config", "{}.yaml"], 78),
    "a stage": (["run.py", "--stages", "{}"], 78),
    "a backup": (["run.py", "--prune", "{}"], 78),
    "a flag": (["run.py", "--{}"], 2),
    "a run config": (["-m", "stages", "train", "--config", "{}"], 78),
    "a stage's container": (["-m", "stages", "{}", "--config", "run.yaml"], 78),
    "a recipe": (["-m", "k8s", "render", "{}", "--profile", "local"], 78),
    "a profile": (["-m", "k8s", "render", ".", "--profile", "{}"], 78),
    "a model": (["-m", "espnet3.transcribe", "{}", "a.wav"], 66),
    "a recording": (["-m", "espnet3.transcribe", ".", "{}.wav"], 66),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_an_argument_is_told_as_it_is(recipe: Recipe, command: str) -> None:
    arguments, code = COMMANDS[command]
    said(run(recipe.folder, *(argument.format(STRANGE) for argument in arguments)), code)


@pytest.mark.parametrize("field", ["utt_id", "audio", "text", "speaker"])
def test_a_manifest_says_which_name_it_cannot_hold(tmp_path: Path, field: str) -> None:
    values: dict[str, Any] = {"utt_id": "a", "audio": "a.wav", "text": "a", "speaker": "s", field: f"x/{STRANGE}"}
    utterance = Utterance(start=0.0, duration=1.0, sample_rate=8000, checksum="", **values)
    with pytest.raises(DataError, match=r"x/w\\udcff\\udce9' is a name of bytes that are not UTF-8"):
        write_manifest(tmp_path / "m.jsonl", [utterance])
    assert not list(tmp_path.iterdir())

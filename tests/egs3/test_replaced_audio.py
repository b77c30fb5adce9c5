"""A recording that was replaced under its name after create_dataset stops every stage that reads it, and is named."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from espnet3.components.data.audio_changes import find_replaced
from espnet3.components.data.manifest import Manifest
from tests.egs3.digits_run import Digits

After = Callable[[str], Digits]
READERS = {
    "collect_stats": ("train_tokenizer", "valid"),
    "train": ("collect_stats", "valid"),
    "infer": ("train", "test"),
}
"""Stages that read audio, with the stage before them and a manifest that they read."""


def recording(recipe: Digits, split: str) -> Path:
    """One that the manifest names, as a file of its own: copies of the recipe share theirs."""
    manifest = Manifest(recipe.folder / f"data/{split}.jsonl")
    path = manifest.root / manifest[0].audio
    copy = Path(shutil.copy2(path, path.with_suffix(".copy")))
    copy.replace(path)
    return path


def replace(path: Path) -> None:
    """Let it be another recording, as long as before."""
    samples, rate = soundfile.read(path, dtype="int16")
    soundfile.write(path, samples[::-1], rate, subtype="PCM_16")


@pytest.mark.slow
@pytest.mark.parametrize("stage", READERS)
def test_a_replaced_recording_stops_each_stage_that_reads_it(after: After, stage: str) -> None:
    before, split = READERS[stage]
    recipe = after(before)
    path = recording(recipe, split)
    replace(path)

    refused = recipe.run("--stages", stage)

    name, manifest = path.relative_to(recipe.folder), f"data/{split}.jsonl"
    assert refused.returncode == 66, refused.stdout + refused.stderr
    assert re.search(
        rf"{name} is not the recording that {manifest} names for \S+: its sha256 is \w{{8}}…, the manifest says "
        r"\w{8}…\. It was replaced or damaged\. Put the recording back, or run create_dataset again\.",
        refused.stderr,
    ), refused.stderr
    assert "Traceback" not in refused.stderr
    assert find_replaced(recipe.folder / manifest).replaced[0][0] == f"audio/{path.name}"


def test_create_dataset_names_a_replaced_recording(after: After) -> None:
    recipe = after("create_dataset")
    replace(path := recording(recipe, "test"))
    (recipe.folder / "data/.done/create_dataset.json").unlink()

    refused = recipe.run("--stages", "create_dataset")

    assert refused.returncode == 66
    assert re.search(rf"data/test\.jsonl:\d+: audio/{path.name} has another checksum than the manif", refused.stderr)


@pytest.mark.slow
def test_touched_recordings_are_the_same(after: After) -> None:
    recipe = after("train_tokenizer")
    path = recording(recipe, "valid")
    os.utime(path, (1, 1))

    done = recipe.run("--stages", "collect_stats")

    assert done.returncode == 0, done.stderr
    assert "has changed since it ran" not in done.stdout
    assert "has another size or time" not in done.stdout, "the plan has put down how it is now"
    assert recipe.plan("--stages", "create_dataset")["create_dataset"].startswith("done")


@pytest.mark.slow
def test_the_plan_says_which_recording_was_replaced(after: After) -> None:
    recipe = after("create_dataset")
    replace(path := recording(recipe, "valid"))
    plan = recipe.plan("--stages", "create_dataset")["create_dataset"]
    assert f"not the recordings of data/valid.jsonl: audio/{path.name} (" in plan

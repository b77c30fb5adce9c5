"""The digits recipe: the speech that it ships, its dataset, and the stages that need no torch."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet3.components.data.dataset import ManifestDataset
from espnet3.components.data.manifest import Manifest
from espnet3.components.data.scp import write_scp

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs3/digits/asr"
SPEECH = RECIPE / "speech"
SPLITS = ("train", "valid", "test")
DIGITS = {"zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}

Built = tuple[Path, subprocess.CompletedProcess[str]]


def run(recipe: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-X", "importtime", str(recipe / "run.py"), *flags],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A copy of the recipe in which create_dataset ran, and what it said."""
    recipe = tmp_path_factory.mktemp("recipe") / "digits/asr"
    shutil.copytree(RECIPE, recipe, ignore=shutil.ignore_patterns("speech", "data", "exp", "__pycache__"))
    return recipe, run(recipe, "--stages", "create_dataset")


def index(split: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (SPEECH / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_each_unseen_voice_has_an_example_for_the_demo(built: Built) -> None:
    recipe, _ = built
    first = {entry["speaker"]: float(entry["duration"]) for entry in reversed(index("test"))}
    found = {path.stem: soundfile.info(path).duration for path in (recipe / "data/examples").iterdir()}
    assert found == pytest.approx(first, abs=0.001)


def test_voices() -> None:
    voices = {split: {entry["speaker"] for entry in index(split)} for split in SPLITS}

    assert len(set.union(*voices.values())) >= 8
    assert len(voices["test"] - voices["train"] - voices["valid"]) >= 3
    assert not voices["train"] & (voices["valid"] | voices["test"])


def test_texts_are_digits_and_heard_once() -> None:
    texts = Counter(entry["text"] for split in SPLITS for entry in index(split))

    assert max(texts.values()) == 1
    assert {word for text in texts for word in text.split()} == DIGITS


def test_size() -> None:
    assert sum(file.stat().st_size for file in SPEECH.iterdir()) <= 3_000_000


def test_create_dataset_loads_no_torch(built: Built) -> None:
    _, done = built

    assert done.returncode == 0, done.stderr[-2000:]
    assert "| torch\n" not in done.stderr


@pytest.mark.parametrize("split", SPLITS)
def test_manifests(built: Built, split: str) -> None:
    manifest = Manifest(built[0] / f"data/{split}.jsonl")

    assert [utterance.text for utterance in manifest] == [entry["text"] for entry in index(split)]
    assert len({utterance.utt_id for utterance in manifest}) == len(manifest)


def test_audio_is_what_was_shipped(built: Built) -> None:
    """Also the last utterance of a voice, where libsndfile seeks wrongly in Ogg Vorbis."""
    dataset = ManifestDataset(str(built[0] / "data/test.jsonl"))
    entries = index("test")
    last = max(range(25), key=lambda n: float(entries[n]["start"]))
    whole, rate = soundfile.read(SPEECH / entries[last]["audio"], dtype="float32")

    sample = dataset[last]

    start = round(float(entries[last]["start"]) * rate)
    assert sample["sample_rate"] == rate
    np.testing.assert_allclose(sample["audio"], whole[start : start + len(sample["audio"])], atol=2**-15)
    assert np.abs(sample["audio"]).max() > 0.05


def test_measure_loads_no_torch(built: Built) -> None:
    recipe = built[0]
    texts = {utterance.utt_id: utterance.text for utterance in Manifest(recipe / "data/test.jsonl")}
    wrong = dict.fromkeys(list(texts)[:20], "one two three")
    write_scp(recipe / "exp/bilstm/greedy/unseen/hyp.scp", texts | wrong)

    done = run(recipe, "--stages", "measure")

    assert done.returncode == 0, done.stderr[-2000:]
    assert "| torch\n" not in done.stderr
    assert json.loads((recipe / "exp/bilstm/greedy/metrics.json").read_text())["unseen"]["wer_utterances"] == 150
    assert "report.html" in done.stdout

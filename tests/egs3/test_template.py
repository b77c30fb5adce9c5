"""A copy of the template and a table of the corpus, or a filled-in dataset module, make a new recipe."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from espnet3.components.data.audio import whole_file
from espnet3.components.data.channels import of_channels
from espnet3.errors import DataError

ROOT = Path(__file__).parent.parent.parent
TEMPLATE = ROOT / "egs3" / "TEMPLATE" / "asr"
STAGES = ["create_dataset", "train_tokenizer", "collect_stats", "train", "infer", "measure", "pack_model", "pack_demo"]
SMALL = """defaults: [training, _self_]
exp_tag: small
num_threads: 1
model: {size: 16, num_layers: 1}
trainer: {max_epochs: 1}
dataloader: {num_workers: 0}
"""


def copy_template(folder: Path) -> Path:
    recipe = folder / "tones" / "asr"
    shutil.copytree(TEMPLATE, recipe, ignore=shutil.ignore_patterns("__pycache__"))
    return recipe


def write_corpus(recipe: Path) -> None:
    """A table of twelve tones of a second, each named by its pitch."""
    rng = np.random.default_rng(0)
    (recipe / "wav").mkdir()
    with (recipe / "corpus.tsv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(["split", "utt_id", "audio", "speaker", "text"])
        for number, split in enumerate(["train"] * 8 + ["valid"] * 2 + ["test"] * 2):
            word, pitch = [("høy", 880), ("lav", 220)][number % 2]
            tone = 0.3 * np.sin(2 * np.pi * pitch * np.arange(16000) / 16000) + 0.01 * rng.standard_normal(16000)
            soundfile.write(recipe / "wav" / f"{number}.wav", tone, 16000)
            table.writerow([split, f"tone-{number}", f"wav/{number}.wav", f"{split}-voice-{number % 3}", word])


def run(recipe: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(recipe / "run.py"), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, cwd=recipe.parent, env=environment, check=False)


@pytest.mark.slow
def test_a_copy_with_a_table_runs_from_audio_to_scores(tmp_path: Path) -> None:
    recipe = copy_template(tmp_path)
    write_corpus(recipe)
    (recipe / "conf" / "small.yaml").write_text(SMALL, encoding="utf-8")
    done = run(recipe, "--training_config", str(recipe / "conf" / "small.yaml"), "--stages", *STAGES)
    assert done.returncode == 0, done.stderr
    assert (recipe / "exp" / "small" / "greedy" / "metrics.json").is_file()


def test_a_copy_with_its_own_dataset_module_needs_no_table(tmp_path: Path) -> None:
    recipe = copy_template(tmp_path)
    write_corpus(recipe)
    (recipe / "corpus.tsv").rename(recipe / "elsewhere.tsv")
    builder = recipe / "dataset" / "builder.py"
    own = builder.read_text(encoding="utf-8").replace("    table: str\n", '    table: str = "elsewhere.tsv"\n')
    builder.write_text(own, encoding="utf-8")
    config = recipe / "conf" / "training.yaml"
    config.write_text(config.read_text("utf-8").replace("create_dataset:\n  table: corpus.tsv\n", ""), encoding="utf-8")
    done = run(recipe, "--stages", "create_dataset")
    assert done.returncode == 0, done.stderr
    assert len((recipe / "data" / "train.jsonl").read_text(encoding="utf-8").splitlines()) == 8


def test_a_table_takes_each_channel_as_an_utterance(tmp_path: Path) -> None:
    recipe = copy_template(tmp_path)
    write_corpus(recipe)
    rows = (recipe / "corpus.tsv").read_text(encoding="utf-8").splitlines()
    for number in (0, 1):
        tone, rate = soundfile.read(recipe / "wav" / f"{number}.wav")
        soundfile.write(recipe / "wav" / f"{number}.wav", np.stack([tone, 0.5 * tone], axis=1), rate)
    changed = [f"{row}\t{value}" for row, value in zip(rows, ["channel", "each", "1", *[""] * 10], strict=True)]
    (recipe / "corpus.tsv").write_text("\n".join(changed) + "\n", encoding="utf-8")
    done = run(recipe, "--stages", "create_dataset")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (recipe / "data" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["utt_id"], line.get("channel")) for line in lines[:4]] == [
        ("tone-0-0", 0), ("tone-0-1", 1), ("tone-1", 1), ("tone-2", None)
    ]  # fmt: skip
    assert len(lines) == 9


@pytest.mark.parametrize("wanted", ["2", "-1", "left", "0.5", "²"])
def test_a_channel_that_a_file_lacks_is_refused(tmp_path: Path, wanted: str) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros((800, 2)), 8000)
    whole = whole_file("u", path, tmp_path, "TEXT", "s")
    with pytest.raises(DataError, match=r"u: channel is .*, but .*a\.wav has 2 channels, from 0 to 1\. Give a number"):
        of_channels(whole, path, wanted)


def test_an_edited_table_makes_other_manifests(tmp_path: Path) -> None:
    recipe = copy_template(tmp_path)
    write_corpus(recipe)
    assert run(recipe, "--stages", "create_dataset").returncode == 0
    manifest = recipe / "data" / "train.jsonl"
    before = manifest.read_bytes()
    again = run(recipe, "--stages", "create_dataset")
    assert "create_dataset: already done" in again.stdout

    table = recipe / "corpus.tsv"
    table.write_text(table.read_text(encoding="utf-8").replace("høy", "Høy"), encoding="utf-8")
    edited = run(recipe, "--stages", "create_dataset")

    assert "DONE create_dataset" in edited.stdout
    assert manifest.read_bytes() == before.replace("høy".encode(), "Høy".encode()) != before
    assert "create_dataset: already done" in run(recipe, "--stages", "create_dataset").stdout


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "There is no table corpus.tsv"),
        ("split\tutt_id\taudio\ttext\n", "no column speaker"),
        ("split\tutt_id\taudio\tspeaker\ttext\ndev\ta\ta.wav\tb\tc\n", "corpus.tsv:2: split is 'dev'"),
        ("split\tutt_id\taudio\tspeaker\ttext\ntrain\ta\tgone.wav\tb\tc\n", "gone.wav does not exist"),
        ("split\tutt_id\taudio\tspeaker\ttext\ntrain\ta\ta.wav\tb\tc\td\n", "corpus.tsv:2: the row has 6 fields"),
        ("split\tutt_id\taudio\tspeaker\ttext\ntrain\ta\n", "corpus.tsv:2: the row has 2 of 5 fields"),
        (
            f"split\tutt_id\taudio\tspeaker\ttext\ntrain\ta\ta.wav\tb\t{'c' * 140_000}\n",
            "corpus.tsv:2: a field has 140000",
        ),
        ("split\tutt_id\taudio\tspeaker\ttext\ntrain\ta\ta.wav\tb\tc\n".encode("utf-16"), "corpus.tsv:1: is UTF-16"),
        (
            "split\tutt_id\taudio\tspeaker\ttext\ntrain\ta\ta.wav\tb\t\u00e9\n".encode("latin-1"),
            "corpus.tsv:2: is not UTF-8",
        ),
    ],
    ids=[
        *("no table", "no such column", "unknown split", "no audio", "a tab", "a row of two fields", "a long field"),
        *("UTF-16", "Latin-1"),
    ],
)
def test_a_wrong_table_is_said_to_be_wrong(tmp_path: Path, table: str | bytes | None, message: str) -> None:
    recipe = copy_template(tmp_path)
    if table is not None:
        (recipe / "corpus.tsv").write_bytes(table if isinstance(table, bytes) else table.encode())
    done = run(recipe, "--stages", "create_dataset")
    assert done.returncode == 66
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_everything_that_is_wrong_with_a_corpus_is_told_at_once(tmp_path: Path) -> None:
    recipe = copy_template(tmp_path)
    write_corpus(recipe)
    for number in (0, 9):
        wav = recipe / "wav" / f"{number}.wav"
        wav.write_bytes(wav.read_bytes()[:5000])
    table = recipe / "corpus.tsv"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines[2] = lines[2].replace("\thøy", "\t\u200b").replace("\tlav", "\t\u200b")
    lines[3] = lines[3].replace("train", "dev", 1)
    lines[4] += "\t"
    table.write_text("\n".join(lines), encoding="utf-8")

    done = run(recipe, "--stages", "create_dataset")

    assert done.returncode == 66
    assert "The data has 5 problems:" in done.stderr
    for line, what in (
        (2, "cut short"),
        (3, "text is empty"),
        (4, "split is 'dev'"),
        (5, "6 fields"),
        (11, "cut short"),
    ):
        assert any(f"corpus.tsv:{line}: " in told and what in told for told in done.stderr.splitlines())
    assert not list((recipe / "data").glob("*.jsonl"))


def test_a_table_with_a_byte_order_mark_quotes_and_names_from_macos_is_read(tmp_path: Path) -> None:
    recipe = copy_template(tmp_path)
    write_corpus(recipe)
    table = recipe / "corpus.tsv"
    text = table.read_text(encoding="utf-8").replace("\thøy", '\tsa "høy" e\u0301', 1)
    table.write_text(text, encoding="utf-8-sig")
    done = run(recipe, "--stages", "create_dataset")
    assert done.returncode == 0, done.stderr
    assert r'"text": "sa \"høy\" é"' in (recipe / "data" / "train.jsonl").read_text(encoding="utf-8")
    assert "train.jsonl: 1 of 8 transcripts came in another Unicode form than NFC" in done.stdout

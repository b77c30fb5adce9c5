"""train makes the tokenizer where no stage has, and makes it anew when what it was made from has changed."""

import json
from pathlib import Path
from typing import Any

import pytest

from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.errors import ConfigError
from espnet3.pipeline.preflight import check_inputs
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.base import training

TOKENIZER = Path("data/tokenizer/characters.json")
SOURCE = "tests.systems.base.manifests"


@pytest.fixture(autouse=True)
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which train does nothing but what comes before the training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "train", lambda _: None)
    write_texts("ab")


def write_texts(*texts: str) -> None:
    utterances = [Utterance(f"u{i}", "a.wav", 0.0, 1.0, 8000, text, "s", "sha256:0") for i, text in enumerate(texts)]
    write_manifest(Path("data/train.jsonl"), utterances)


def system(**tokenizer: Any) -> ASRSystem:
    reference = {"data_src": SOURCE, "data_src_args": {"manifest": "data/train.jsonl"}}
    target = {"_target_": "espnet3.components.data.tokenizer.CharTokenizer", "path": str(TOKENIZER), **tokenizer}
    config = {"exp_dir": "exp", "data_dir": "data", "stats_dir": "data/stats"}
    return ASRSystem(training_config={**config, "dataset": {"train": [reference]}, "tokenizer": target})


def letters() -> str:
    return "".join(json.loads(TOKENIZER.read_text())["symbols"][2:-1])


def test_a_missing_tokenizer_is_made() -> None:
    system().train()
    assert letters() == "ab"


def test_it_is_made_once() -> None:
    system().train()
    before = TOKENIZER.stat().st_mtime_ns
    system().train()
    assert TOKENIZER.stat().st_mtime_ns == before


def test_other_transcripts_make_another() -> None:
    system().train()
    write_texts("abc")
    system().train()
    assert letters() == "abc"


@pytest.mark.parametrize("by", ["stage", "hand"])
def test_one_that_train_has_not_made_is_left_alone(by: str) -> None:
    system().train()
    if by == "stage":
        write_texts("xyz")
        system().train_tokenizer()
        write_texts("abcdef")
    else:
        TOKENIZER.write_text(TOKENIZER.read_text().replace('"a"', '"z"'))
    before = TOKENIZER.read_text()
    system().train()
    assert TOKENIZER.read_text() == before


def test_one_that_was_never_finished_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    write_texts("xyz")
    with monkeypatch.context() as patch:
        patch.setattr("espnet3.systems.asr.tokenizer_making.sha256", die)
        with pytest.raises(KeyboardInterrupt):
            system().train()
    write_texts("ab")
    system().train()
    assert letters() == "ab"


def test_wrong_settings_are_named() -> None:
    target = "espnet3.components.data.tokenizer.SentencePieceTokenizer"
    with pytest.raises(ConfigError, match=r"tokenizer\.vocab_size is 400, but can be at most"):
        system(_target_=target, vocab_size=400).train()


def test_the_plan_asks_for_no_tokenizer_but_for_the_rest() -> None:
    needed = [str(finding) for finding in check_inputs(system(), ["train"])]
    assert any("data/stats/train/feats_stats.npz" in line for line in needed)
    assert not any("tokenizer" in line for line in needed)

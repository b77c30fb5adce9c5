"""Tokenizers lie in folders named by what they are made from; train makes one where no stage has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceTrainer

from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.components.data.tokenizer import UNKNOWN_TEXT, SentencePieceTokenizer
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
    monkeypatch.setattr(training, "train", lambda *_: None)
    write_texts("ab")


def write_texts(*texts: str) -> None:
    utterances = [Utterance(f"u{i}", "a.wav", 0.0, 1.0, 8000, text, "s", "sha256:0") for i, text in enumerate(texts)]
    write_manifest(Path("data/train.jsonl"), utterances)


def system(**tokenizer: Any) -> ASRSystem:
    reference = {"data_src": SOURCE, "data_src_args": {"manifest": "data/train.jsonl"}}
    target = {"_target_": "espnet3.components.data.tokenizer.CharTokenizer", "path": str(TOKENIZER), **tokenizer}
    config = {"exp_dir": "exp", "data_dir": "data", "stats_dir": "data/stats"}
    return ASRSystem(training_config={**config, "dataset": {"train": [reference]}, "tokenizer": target})


def made() -> list[Path]:
    return sorted(TOKENIZER.parent.glob("*/characters.json"), key=lambda path: path.stat().st_mtime_ns)


def letters(path: Path) -> str:
    return "".join(json.loads(path.read_text())["symbols"][2:-1])


@pytest.mark.parametrize("stage", ["train", "train_tokenizer"])
def test_a_missing_tokenizer_is_made(stage: str) -> None:
    getattr(system(), stage)()
    assert [letters(path) for path in made()] == ["ab"]


def test_it_is_made_once() -> None:
    system().train_tokenizer()
    before = made()[0].stat().st_mtime_ns
    system().train()
    assert [path.stat().st_mtime_ns for path in made()] == [before]


def test_other_transcripts_or_settings_make_another_and_the_first_stays() -> None:
    system().train()
    write_texts("abc")
    system().train()
    assert [letters(path) for path in made()] == ["ab", "abc"]
    write_texts("ab")
    system().train()
    assert [letters(path) for path in made()] == ["ab", "abc"], "nothing was made again"


@pytest.mark.parametrize("stage", ["train", "train_tokenizer"])
def test_one_that_was_given_by_hand_is_taken_as_it_is(stage: str) -> None:
    system().train()
    TOKENIZER.write_text(made()[0].read_text().replace('"a"', '"z"'))
    before = TOKENIZER.read_text()
    write_texts("xyz")
    getattr(system(), stage)()
    assert TOKENIZER.read_text() == before
    assert len(made()) == 1


def test_what_one_given_by_hand_lacks_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    TOKENIZER.parent.mkdir(parents=True)
    TOKENIZER.write_text(json.dumps({"symbols": ["<blank>", "<unk>", "a", "e", "\u0301", "<sos/eos>"]}))
    write_texts("a", "e\u0301")
    system().train_tokenizer()
    assert (
        "train: 1 of 2 texts have characters that it lacks or writes otherwise: '\u00e9'; the first is u1."
        in caplog.text
    )


def test_one_that_writes_another_form_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    write_texts("ab \uff21 \ufb01", "ab")
    TOKENIZER.parent.mkdir(parents=True)
    SentencePieceTrainer.train(
        sentence_iterator=iter(["ab A fi", "ab"] * 9),
        model_prefix=str(TOKENIZER.with_suffix("")),
        vocab_size=8,
        model_type="char",
        minloglevel=2,
    )
    TOKENIZER.with_suffix(".model").rename(TOKENIZER)
    system(_target_="espnet3.components.data.tokenizer.SentencePieceTokenizer", vocab_size=10).train_tokenizer()
    theirs = SentencePieceTokenizer(str(TOKENIZER), vocab_size=10)
    assert theirs.decode(theirs.encode("a\u0436b")) == f"a{UNKNOWN_TEXT}b"
    assert r"train: 1 of 2 texts have characters that it lacks or writes otherwise: '\ufb01' '\uff21'" in (
        caplog.text.encode("ascii", "backslashreplace").decode()
    )


def test_wrong_settings_are_named() -> None:
    target = "espnet3.components.data.tokenizer.SentencePieceTokenizer"
    with pytest.raises(ConfigError, match=r"tokenizer\.vocab_size is 400, but can be at most"):
        system(_target_=target, vocab_size=400).train()


def test_the_plan_asks_for_no_tokenizer_but_for_the_rest() -> None:
    needed = [str(finding) for finding in check_inputs(system(), ["train"])]
    assert any(re.search(r"data/stats/\w{12}/train/feats_stats\.npz", line) for line in needed)
    assert not any("tokenizer" in line for line in needed)

"""Tokenizers: what they make of text in any script, and how they fail."""

import json
import pickle
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.components.data.text import normalise
from espnet3.components.data.tokenizer import (
    UNKNOWN_TEXT,
    CharTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
    train_tokenizer,
)
from espnet3.errors import ConfigError, DataError


def grown(*texts: str) -> list[str]:
    """`texts` and sentences of pieces of them: enough for a vocabulary of subwords."""
    rng = np.random.default_rng(0)
    characters = "".join(texts).replace(" ", "")
    starts = rng.integers(len(characters), size=(60, 5))
    return [*texts, *(" ".join(characters[start : start + 4] for start in row) for row in starts)] * 3


ENGLISH = grown("HELLO WORLD", "THE QUICK BROWN FOX", "FIVE SIX SEVEN EIGHT", "JUMPS OVER LAZY DOGS")
SCRIPTS = {
    "english": ENGLISH,
    "german": grown("Grüße aus Köln", "Straße und Maße", "schöne Äpfel"),
    "japanese": grown("日本語の音声", "音声認識は楽しい", "今日は　晴れ"),
    "hindi": grown("नमस्ते दुनिया", "हिन्दी में बोलो"),
    "hebrew": grown("שָׁלוֹם עוֹלָם", "עִבְרִית יָפָה"),
    "decomposed": grown("cafe\u0301 re\u0301sume\u0301", "Vie\u0323\u0302t Nam q\u0303"),
    "emoji": grown("thumbs 👍🏽 up", "family 👩‍👩‍👧 photo"),
}
each_script = pytest.mark.parametrize("texts", SCRIPTS.values(), ids=SCRIPTS.keys())
Make = Callable[[Path], Tokenizer]


def characters(folder: Path) -> Tokenizer:
    return CharTokenizer(str(folder / "characters.json"))


def subwords(folder: Path, **options: Any) -> SentencePieceTokenizer:
    return SentencePieceTokenizer(str(folder / "subwords.model"), **{"vocab_size": 40, **options})


def bpe(folder: Path) -> Tokenizer:
    return subwords(folder, model_type="bpe")


each_kind = pytest.mark.parametrize("make", [characters, subwords, bpe], ids=["characters", "unigram", "bpe"])


@each_kind
@each_script
def test_text_survives_encoding_and_decoding(make: Make, texts: list[str], tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    tokenizer.train(texts)
    for text in texts:
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == normalise(text)
        assert all(1 < index < len(tokenizer) - 1 for index in ids)
        assert tokenizer.missing(text) == set()


@each_kind
def test_special_symbols_have_their_places_and_are_not_read(make: Make, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    tokenizer.train(ENGLISH)
    assert len(tokenizer.symbols) == len(tokenizer) == len(set(tokenizer.symbols))
    assert tokenizer.symbols[:2] == ["<blank>", "<unk>"]
    assert tokenizer.symbols[-1] == "<sos/eos>"
    end = len(tokenizer) - 1
    assert tokenizer.decode([end, 0, *tokenizer.encode("HELLO"), 0, end]) == "HELLO"


@each_kind
def test_a_character_never_seen_is_unknown(make: Make, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    tokenizer.train(ENGLISH)
    assert tokenizer.missing("HELLO Ünïverse 日") == set("Ünïverse日")
    assert 1 in tokenizer.encode("日")
    assert UNKNOWN_TEXT in tokenizer.decode(tokenizer.encode("HELLO 日"))


@each_kind
def test_the_same_texts_give_the_same_bytes(make: Make, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        make(tmp_path / name).train(iter(ENGLISH))
    first, second = (next((tmp_path / name).iterdir()).read_bytes() for name in ("one", "two"))
    assert first == second


@each_kind
def test_composed_and_decomposed_text_are_the_same(make: Make, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    tokenizer.train(["é à ü ñ", *ENGLISH])
    assert tokenizer.encode("e\u0301 a\u0300") == tokenizer.encode("é à")


@each_kind
def test_white_space_of_any_kind_is_one_space(make: Make, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    tokenizer.train(ENGLISH)
    assert tokenizer.encode("\tHELLO \u00a0\u3000 WORLD\n") == tokenizer.encode("HELLO WORLD")
    assert tokenizer.encode(" ") == []
    assert tokenizer.decode([]) == ""


@each_kind
def test_a_tokenizer_travels_to_a_worker_process(make: Make, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    tokenizer.train(ENGLISH)
    ids = tokenizer.encode("SIX FOXES")
    assert pickle.loads(pickle.dumps(tokenizer)).encode("SIX FOXES") == ids


@each_kind
def test_a_missing_file_names_the_stage_that_makes_it(make: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run train_tokenizer"):
        make(tmp_path).encode("HELLO")


@each_kind
@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"symbols": []}', b'{"symbols": ["A"]}', b"\xff\x00"])
def test_a_file_of_something_else_is_refused(make: Make, content: bytes, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    Path(tokenizer.path).write_bytes(content)
    with pytest.raises(DataError, match=r"is not a (character tokenizer|sentencepiece model).* run train_tokenizer"):
        tokenizer.encode("HELLO")


@each_kind
@pytest.mark.parametrize("texts", [[], ["", " \n"]], ids=["none", "blank"])
def test_no_text_is_refused_and_writes_nothing(make: Make, texts: list[str], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hold no text"):
        make(tmp_path).train(texts)
    assert not list(tmp_path.iterdir())


@each_kind
@pytest.mark.parametrize("wrong", [-1, 10_000])
def test_ids_that_do_not_exist_are_refused(make: Make, wrong: int, tmp_path: Path) -> None:
    tokenizer = make(tmp_path)
    tokenizer.train(ENGLISH)
    with pytest.raises(ValueError, match=rf"from 0 to {len(tokenizer) - 1}; given: {wrong}"):
        tokenizer.decode([wrong])


def test_characters_are_sorted_and_legible(tmp_path: Path) -> None:
    tokenizer = characters(tmp_path)
    tokenizer.train(["ÖB A"])
    assert tokenizer.symbols == ["<blank>", "<unk>", "<space>", "A", "B", "Ö", "<sos/eos>"]
    assert "Ö" in Path(tokenizer.path).read_text(encoding="utf-8")
    assert json.loads(Path(tokenizer.path).read_text(encoding="utf-8"))["symbols"] == tokenizer.symbols


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_vocab_size_counts_every_symbol(model_type: str, tmp_path: Path) -> None:
    tokenizer = subwords(tmp_path, vocab_size=50, model_type=model_type)
    tokenizer.train(ENGLISH)
    assert len(tokenizer) == 50


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_wrong_vocab_size_is_answered_with_the_limit(model_type: str, tmp_path: Path) -> None:
    for wrong, words in ((5000, "at most"), (10, "at least")):
        with pytest.raises(ConfigError, match=rf"vocab_size is {wrong}, but can be {words} (\d+)") as failure:
            subwords(tmp_path, vocab_size=wrong, model_type=model_type).train(ENGLISH)
        limit = int(str(failure.value).split(words)[1].split()[0])
        tokenizer = subwords(tmp_path, vocab_size=limit, model_type=model_type)
        tokenizer.train(ENGLISH)
        assert len(tokenizer) == limit


def test_rare_characters_can_be_left_out(tmp_path: Path) -> None:
    tokenizer = subwords(tmp_path, character_coverage=0.99)
    tokenizer.train([*ENGLISH, "日"])
    assert tokenizer.missing("HELLO 日") == {"日"}


def test_sampling_is_off_unless_asked_for_and_follows_the_generator(tmp_path: Path) -> None:
    plain, sampling = (subwords(tmp_path, vocab_size=90, **options) for options in ({}, {"nbest": 20}))
    plain.train(ENGLISH)
    text = "HELLO QUICK WORLD"
    assert plain.encode(text, np.random.default_rng(0)) == plain.encode(text)
    assert sampling.encode(text) == plain.encode(text)
    drawn = [sampling.encode(text, np.random.default_rng(seed)) for seed in range(20)]
    assert drawn == [sampling.encode(text, np.random.default_rng(seed)) for seed in range(20)]
    assert len(set(map(tuple, drawn))) > 1
    assert {sampling.decode(ids) for ids in drawn} == {text}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"model_type": "word"}, "accepted are unigram and bpe", id="type"),
        pytest.param({"vocab_size": 3}, "at least 4", id="size"),
        pytest.param({"character_coverage": 1.2}, "0.9 to 1", id="coverage"),
        pytest.param({"nbest": 0}, "nbest", id="nbest"),
        pytest.param({"alpha": -1.0}, "not negative", id="alpha"),
        pytest.param({"nbest": 5, "model_type": "bpe"}, "set model_type: unigram", id="bpe sampling"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        subwords(tmp_path, **options)


@given(st.text(max_size=30))
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once == unicodedata.normalize("NFC", once)
    assert once.split() == once.split(" ") or not once


def test_the_stage_learns_from_the_training_split_alone(tmp_path: Path) -> None:
    config = recipe(tmp_path, train=["AB C", "DÄ"], valid=["XYZ"])
    train_tokenizer(config)
    assert CharTokenizer(config.tokenizer.path).symbols[2:-1] == ["<space>", "A", "B", "C", "D", "Ä"]
    assert [file.name for file in (tmp_path / "data/tokenizer").iterdir()] == ["characters.json"]


def test_the_stage_names_characters_that_no_model_can_get_right(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train_tokenizer(recipe(tmp_path, train=["AB C"], valid=["AB", "AÉ", "ÜB É"], test=["BA"]))
    assert caplog.messages == [
        "valid: 2 of 3 texts have characters that the training transcripts lack: 'É' 'Ü'; the first is u1."
    ]


def test_the_stage_says_which_key_is_missing(tmp_path: Path) -> None:
    config = recipe(tmp_path, train=["AB"], valid=[])
    del config["tokenizer"]
    with pytest.raises(ConfigError, match=r"training_config\.tokenizer is missing"):
        train_tokenizer(config)


def recipe(folder: Path, **splits: list[str]) -> DictConfig:
    """A training config whose splits have these texts."""
    (folder / "dataset").mkdir()
    (folder / "dataset/__init__.py").write_text(
        "from espnet3.components.data.dataset import ManifestDataset as Dataset\n"
    )
    for split, texts in splits.items():
        write_manifest(folder / f"{split}.jsonl", (utterance(f"u{i}", text) for i, text in enumerate(texts)))
    references = {split: [{"data_src_args": {"manifest": str(folder / f"{split}.jsonl")}}] for split in splits}
    target = "espnet3.components.data.tokenizer.CharTokenizer"
    return OmegaConf.create(
        {
            "data_dir": str(folder / "data"),
            "recipe_dir": str(folder),
            "dataset": references,
            "tokenizer": {"_target_": target, "path": str(folder / "data/tokenizer/characters.json")},
        }
    )


def utterance(utt_id: str, text: str) -> Utterance:
    return Utterance(utt_id, "a.wav", 0.0, 1.0, 16000, text, "s", f"sha256:{'0' * 64}")

"""n-gram models: probabilities that sum to one, look-ahead, ARPA files."""

import math
from collections import Counter
from pathlib import Path

import pytest

from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.errors import ConfigError, DataError
from espnet3.systems.asr.decoding.arpa import read_arpa, write_arpa
from espnet3.systems.asr.decoding.backoff import END, UNKNOWN, Ngram
from espnet3.systems.asr.decoding.ngram import WordNgram
from espnet3.systems.asr.decoding.smoothing import SMOOTHINGS, discounts, estimate

TEXT = [
    "one two three two one",
    "one two two two nine",
    "enter one",
    "stop",
    "one three three four",
    "go enter nine nine nine",
    "two four four",
]
SENTENCES = [text.split() for text in TEXT]
CONTEXTS = [(), ("<s>",), ("one",), ("one", "two"), ("<s>", "one"), ("two", "two"), ("nine", "stop"), ("<unk>", "one")]


def every_word(model: Ngram) -> list[str]:
    return [*model.words, END, UNKNOWN]


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_probabilities_after_any_context_sum_to_one(smoothing: str, order: int, context: tuple[str, ...]) -> None:
    model = estimate(SENTENCES, order, SMOOTHINGS[smoothing])
    assert sum(math.exp(model.score(context, word)) for word in every_word(model)) == pytest.approx(1.0)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_longer_contexts_fit_the_text_better(smoothing: str) -> None:
    fits = [sum(map(estimate(SENTENCES, order, SMOOTHINGS[smoothing]).sentence, TEXT)) for order in (1, 2, 3)]
    assert fits == sorted(fits)


def test_witten_bell_as_worked_out_by_hand() -> None:
    model = estimate([["a"], ["a"], ["b"]], 2, SMOOTHINGS["witten_bell"])
    unigram = {"a": (2 + 3 / 4) / 9, END: (3 + 3 / 4) / 9, UNKNOWN: 3 / 4 / 9}
    assert {word: math.exp(model.score((), word)) for word in unigram} == pytest.approx(unigram)
    assert math.exp(model.score(("<s>",), "a")) == pytest.approx((2 + 2 * unigram["a"]) / 5)
    assert math.exp(model.score(("<s>",), "zoo")) == pytest.approx(2 / 5 * unigram[UNKNOWN])


def test_kneser_ney_counts_the_different_words_before_a_word() -> None:
    text = ["san francisco"] * 5 + ["the hill", "a hill", "my hill"]
    model = estimate([line.split() for line in text], 2, SMOOTHINGS["kneser_ney"])
    assert model.score((), "hill") > model.score((), "francisco")


def test_modified_kneser_ney_discounts() -> None:
    level: Counter[tuple[str, ...]] = Counter(
        {(str(number),): count for number, count in enumerate([1] * 8 + [2] * 4 + [3] * 2 + [4])}
    )
    share = 8 / (8 + 2 * 4)
    expected = (1 - 2 * share * 4 / 8, 2 - 3 * share * 2 / 4, 3 - 4 * share * 1 / 2)
    assert discounts(level) == pytest.approx(expected)


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
@pytest.mark.parametrize("letters", ["", "t", "tw", "nine", "x", "o"])
@pytest.mark.parametrize("context", CONTEXTS, ids=str)
def test_look_ahead_is_the_best_word_with_those_letters(smoothing: str, letters: str, context: tuple[str, ...]) -> None:
    model = estimate(SENTENCES, 3, SMOOTHINGS[smoothing])
    scores = [model.score(context, word) for word in model.words if word.startswith(letters)]
    assert model.best(context, letters) == pytest.approx(max(scores, default=-math.inf))


def test_contexts_are_cut_to_the_order() -> None:
    model = estimate(SENTENCES, 3, SMOOTHINGS["witten_bell"])
    context = model.start()
    assert context == ("<s>",)
    for word, expected in [("one", ("<s>", "one")), ("zoo", ("one", "<unk>")), ("two", ("<unk>", "two"))]:
        context = model.push(context, word)
        assert context == expected
    assert estimate(SENTENCES, 1, SMOOTHINGS["witten_bell"]).push((), "one") == ()


@pytest.mark.parametrize("smoothing", SMOOTHINGS)
def test_an_arpa_file_gives_the_same_model(tmp_path: Path, smoothing: str) -> None:
    model = estimate(SENTENCES, 3, SMOOTHINGS[smoothing])
    write_arpa(tmp_path / "lm.arpa", model)
    read = read_arpa(tmp_path / "lm.arpa")
    assert (read.order, read.words) == (model.order, model.words)
    for text in [*TEXT, "nine zoo two", ""]:
        assert read.sentence(text) == pytest.approx(model.sentence(text), abs=1e-6)
    first = (tmp_path / "lm.arpa").read_bytes()
    write_arpa(tmp_path / "lm.arpa", estimate(SENTENCES, 3, SMOOTHINGS[smoothing]))
    assert (tmp_path / "lm.arpa").read_bytes() == first


FOREIGN = """
Some toolkit's remark
\\data\\
ngram 1=4
ngram 2=1

\\1-grams:
-99 <s> -0.30103
-0.30103 </s>
-0.60206\ta\t-0.1
-0.60206 b

\\2-grams:
-0.1 <s> a

\\end\\
anything
"""


def test_another_toolkits_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_text(FOREIGN)
    model = WordNgram(arpa=str(tmp_path / "lm.arpa"))
    assert model.order == 2
    assert model.words == ["a", "b"]
    assert model.score(("<s>",), "a") == pytest.approx(-0.1 * math.log(10))
    assert model.score(("<s>",), "b") == pytest.approx(-0.90309 * math.log(10))
    assert model.score(("<s>",), "zoo") == -math.inf


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("hello\n", "does not end with|no n-grams", id="no sections"),
        pytest.param(FOREIGN.partition("\\end")[0], "cut short", id="cut short"),
        pytest.param(FOREIGN.replace("-0.60206 b", "b -0.6"), r"lm\.arpa:11: ", id="no number"),
        pytest.param(FOREIGN.replace("-0.1 <s> a", "-0.1 <s>"), r"lm\.arpa:14: '-0.1 <s>' is not a 2-gram", id="short"),
    ],
)
def test_a_malformed_arpa_file_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "lm.arpa").write_text(content)
    with pytest.raises(DataError, match=message):
        read_arpa(tmp_path / "lm.arpa")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FOREIGN.replace(" b\n", " \u00e9\n").encode("latin-1"), r"lm\.arpa:11: is not UTF-8 .*is it a binary model\?"),
        (FOREIGN.encode("utf-16"), r"lm\.arpa:1: is UTF-16"),
        (FOREIGN.replace(" b\n", " \u00e9\n-0.6 e\u0301\n").encode(), r"lm\.arpa:12: '\u00e9' was listed before"),
    ],
    ids=["Latin-1", "UTF-16", "a word in two forms"],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "lm.arpa").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_arpa(tmp_path / "lm.arpa")


def test_a_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    (tmp_path / "lm.arpa").write_bytes(b"\xef\xbb\xbf" + FOREIGN.lstrip().replace("\n", "\r\n").encode())
    assert read_arpa(tmp_path / "lm.arpa").words == ["a", "b"]


def test_a_model_is_learned_from_manifests(tmp_path: Path) -> None:
    paths = [str(tmp_path / f"{number}.jsonl") for number in (0, 1)]
    for path, texts in zip(paths, (TEXT[:3], TEXT[3:]), strict=True):
        write_manifest(path, [Utterance(f"u{i}", "a.wav", 0, 1, 8000, t, "s", "") for i, t in enumerate(texts)])
    model = WordNgram(manifest=paths, order=3, smoothing="kneser_ney")
    assert model.log_probs == estimate(SENTENCES, 3, SMOOTHINGS["kneser_ney"]).log_probs


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({}, ConfigError, "either manifest .* or arpa"),
        ({"manifest": "m.jsonl", "arpa": "lm.arpa"}, ConfigError, "either manifest .* or arpa"),
        ({"manifest": "m.jsonl", "smoothing": "laplace"}, ConfigError, "witten_bell, kneser_ney"),
        ({"manifest": "m.jsonl", "order": 0}, ConfigError, "order of at least 1"),
        ({"manifest": "nowhere.jsonl"}, DataError, "nowhere.jsonl"),
        ({"arpa": "nowhere.arpa"}, DataError, "nowhere.arpa"),
        ({"manifest": []}, DataError, "no words"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, str], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        WordNgram(**settings)  # type: ignore[arg-type]

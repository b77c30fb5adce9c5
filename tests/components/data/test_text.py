"""One form of text from the corpus to the score, whatever the form that it comes in."""

import logging
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.components.data.lexicon import LexiconTokenizer
from espnet3.components.data.manifest import Manifest, Utterance, write_manifest
from espnet3.components.data.text import composed, normalise
from espnet3.components.data.tokenizer import CharTokenizer, SentencePieceTokenizer
from espnet3.components.metrics.base_metric import MetricContext
from espnet3.components.metrics.edit_rate import EditRate
from espnet3.components.metrics.normalisers import NORMALISERS, get_normaliser
from espnet3.systems.asr.decoding.arpa import read_arpa
from espnet3.systems.asr.decoding.ngram import WordNgram
from espnet3.systems.asr.metrics.cer import CER
from espnet3.systems.asr.metrics.wer import WER
from tests.components.data.corpus import CHECKSUM, record, write_lines

SCRIPTS = {
    "Vietnamese": "bốn năm sáu",
    "Korean": "안녕 하세요",
    "Old Hangul": "\u1112\u119e\u11ab \u1100\u1161",
    "Japanese": "ガギグ ば ぱ",
    "half-width kana": "ｶ\uff9eｷ\uff9e ﾊ\uff9f",
    "full-width": "\uff21\uff22\uff23\u3000\uff11\uff12\uff13",
    "full-width with a mark": "\uff25\u0301 \uff41\u0323\u0302",
    "Bengali": "\u09b8\u09ae\u09df \u09b9\u09df \u09ac\u09be\u09dc\u09bf",
    "Hindi nukta": "\u0932\u095c\u0915\u093e \u095b\u0930\u093e",
    "Gurmukhi": "\u0a16\u0a3c\u0a59 \u0a5e",
    "Odia": "\u0b5c\u0b5d",
    "Tamil": "\u0bca \u0b95\u0bca",
    "Tibetan": "\u0f43\u0f4d \u0f73",
    "Burmese": "\u1025\u102e \u1026",
    "Hebrew presentation": "\ufb2a\u05dc\u05d5\u05dd \ufb4b",
    "Hebrew points in any order": "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u05e9\u05c1\u05b8",
    "Arabic": "\u0622\u0645 \u0627\u0653 \u0623",
    "Greek": "\u1f71 \u03ac \u1fbe \u03a9 \u2126",
    "Cyrillic": "йод Ёлка и\u0306",
    "Angstrom and Kelvin": "10 \u212b 3 \u212a",
    "compatibility ideograph": "\uf9dc \U0002f800",
    "Yoruba": "ọjọ́ ẹ̀kọ́",
    "Lithuanian": "ė\u0301 i\u0307\u0301",
    "musical symbols": "\U0001d15e \U0001d1bc",
    "Kirat Rai and Tulu": "\U00011382 \U000113c2",
    "emoji": "ok 👩\u200d👩\u200d👧 👍🏽 ❤\ufe0f",
    "Turkish": "İSTANBUL IŞIK istanbul \u0131ş\u0131k",
    "German": "STRASSE Straße",
    "Persian": "می\u200cروم",
    "marks alone": "\u0301 a",
    "letters for a space": "a ▁ b",
}
FORMS = ("NFC", "NFD", "NFKC", "NFKD")
CONTEXT = MetricContext("test", Path())
METRICS = [
    metric(name, language=language) for metric in (WER, CER) for name in NORMALISERS for language in (None, "tr")
]

written = st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"), min_size=1, max_size=12)
SPECIAL = (
    "aEiI\u0130\u0131\u0161\u03a3\u03c2\u0301\u0307\u0323\u0345\u093c\u0958\u09a1\u09dc\u09bc'\u2019`\u00b4.- "
    "\u200b\u200c\u200d\u00ad\ufe0f\uac00\u1100\u1161"
)
"""Characters that forms, case and white space treat in ways of their own."""
marked = st.text(st.sampled_from(SPECIAL), min_size=1)


def rate(metric: EditRate, reference: str, hypothesis: str) -> float | None:
    """The error rate, or None where the reference has no token under the metric's normaliser."""
    if not get_normaliser(metric.normaliser)(reference):
        assert not get_normaliser(metric.normaliser)(hypothesis)
        return None
    value = metric({"ref": {"u": reference}, "hyp": {"u": hypothesis}}, CONTEXT)[metric.name]
    assert isinstance(value, float)
    return value


def as_recognised(text: str) -> str:
    """What a recogniser writes that makes no mistake."""
    with TemporaryDirectory() as folder:
        tokenizer = CharTokenizer(f"{folder}/characters.json")
        tokenizer.train([text])
        return tokenizer.decode(tokenizer.encode(text))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_no_mistake_is_no_error_in_any_script_and_form(text: str, form: str) -> None:
    said = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    assert {rate(metric, said, as_recognised(said)) for metric in METRICS} <= {0.0, None}


@given(written | marked, st.sampled_from(FORMS))
def test_no_mistake_is_no_error_in_any_text(text: str, form: str) -> None:
    if not text.split():
        return
    said = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    heard = as_recognised(text if form in ("NFC", "NFD") else said)
    assert {rate(metric, said, heard) for metric in METRICS} <= {0.0, None}


@given(written | marked)
def test_the_form_is_one(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)
    assert {normalise(unicodedata.normalize(form, text)) for form in ("NFC", "NFD")} == {normalise(text)}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> SentencePieceTokenizer:
    tokenizer = SentencePieceTokenizer(str(tmp_path_factory.mktemp("sp") / "m.model"), 155)
    tokenizer.train([unicodedata.normalize("NFD", text) for text in SCRIPTS.values()] * 20)
    return tokenizer


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_subwords_read_back_as_they_were_written(pieces: SentencePieceTokenizer, text: str) -> None:
    said = unicodedata.normalize("NFD", text)
    if "▁" in text:
        assert pieces.missing(said) == {"▁"}
        return
    assert {rate(metric, said, pieces.decode(pieces.encode(said))) for metric in METRICS} <= {0.0, None}


known = st.text(st.sampled_from(sorted(set("".join(SCRIPTS.values())))), max_size=12)


@given(known | written | marked)
def test_subwords_give_back_any_text_but_for_what_they_are_said_to_lack(
    pieces: SentencePieceTokenizer, text: str
) -> None:
    lacking = pieces.missing(text)
    read = pieces.decode(pieces.encode(text))
    assert (read == normalise(text)) == (not lacking)


def utterance(utt_id: str, text: str) -> Utterance:
    return Utterance(utt_id, "a.wav", 0.0, 1.0, 16000, text, "s0", CHECKSUM)


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_manifests_are_written_and_read_in_one_form(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    apart = unicodedata.normalize("NFD", text)
    write_manifest(
        tmp_path / "written.jsonl", [utterance("u0", "plain"), utterance("u1", apart), utterance("u2", text)]
    )
    changed = [each for each in (apart, text) if composed(each) != each]
    said = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert [f"{len(changed)} of 3 transcripts came in another Unicode form" in line for line in said] == [True] * bool(
        changed
    )
    assert f'"{composed(text)}"'.encode() in (tmp_path / "written.jsonl").read_bytes()
    write_lines(tmp_path / "by_hand.jsonl", [record(0, text=apart), record(1, text=text)])
    for name in ("written", "by_hand"):
        assert {each.text for each in Manifest(tmp_path / f"{name}.jsonl")} - {"plain"} == {composed(text)}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_language_models_and_lexicons_know_words_in_any_form(tmp_path: Path, text: str) -> None:
    words = {normalise(word): word for word in text.split()}
    said = " ".join(words.values())
    forms = [said, *(unicodedata.normalize(form, said) for form in ("NFC", "NFD"))]
    for written in forms:
        lines = (f"{word} P{number:02}\n" for number, word in enumerate(written.split()))
        (tmp_path / "lexicon.txt").write_text("".join(lines), encoding="utf-8")
        grams = "".join(f"-0.5 {word}\n" for word in ["<s>", "</s>", *written.split()])
        (tmp_path / "lm.arpa").write_text(f"\\data\\\n\\1-grams:\n{grams}\\end\\\n", encoding="utf-8")
        write_lines(tmp_path / "train.jsonl", [record(0, text=written)])
        assert all(map(read_arpa(tmp_path / "lm.arpa").knows, words))
        assert all(map(WordNgram(manifest=str(tmp_path / "train.jsonl")).knows, words))
        lexicon = LexiconTokenizer(str(tmp_path / "lexicon.txt"))
        assert [lexicon.encode(form) for form in forms] == [list(range(2, 2 + len(words)))] * 3

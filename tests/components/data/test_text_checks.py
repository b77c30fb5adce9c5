"""Faults of transcripts, and what in them is worth a look."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.components.data.invisible import KINDS, invisible_in, is_blank, without_invisible
from espnet3.components.data.text_checks import LONGEST_TEXT, TextNotes, text_faults
from espnet3.components.metrics.normalisers import get_normaliser

FAULTS = {
    "nothing": ("", "text is empty."),
    "spaces": (" \u00a0\u3000\t", "text is empty."),
    "zero-width spaces": ("\u200b \u200b", "nothing in it can be seen (U+200B)."),
    "byte order mark": ("\ufeff", "nothing in it can be seen (U+FEFF)."),
    "joiners": ("\u200d\u200c", "nothing in it can be seen (U+200C, U+200D)."),
    "lone marks": ("\u0301 \u0327", "nothing in it can be seen (U+0301, U+0327)."),
    "a noncharacter": ("\uffff", "nothing in it can be seen (U+FFFF)."),
    "variation selector": ("\ufe0f", "nothing in it can be seen (U+FE0F)."),
    "Hangul fillers": ("\u3164\u115f\u1160\uffa0", "nothing in it can be seen (U+115F, U+1160, U+3164, U+FFA0)."),
    "a control character": ("\x07", "nothing in it can be seen (U+0007)."),
    "Braille's blank": ("\u2800\u2800", "nothing in it can be seen (U+2800)."),
    "a lost character": (
        "caf\ufffd",
        "text holds U+FFFD, which stands for a character that could not be read: 'caf\ufffd'",
    ),
    "line break": ("a\nb", "text holds a line break or a NUL: 'a\\nb'."),
    "carriage return": ("a\rb", "text holds a line break or a NUL: 'a\\rb'."),
    "line separator": ("a\u2028b", "text holds a line break or a NUL"),
    "next line": ("a\x85b", "text holds a line break or a NUL"),
    "NUL": ("a\0b", "text holds a line break or a NUL"),
    "a whole file": ("a" * (LONGEST_TEXT + 1), f"text has {LONGEST_TEXT + 1} characters; a transcript has at most"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS)
def test_a_text_that_cannot_be_used_is_said_to_be(text: str, message: str) -> None:
    [fault] = text_faults(text)
    assert message in fault
    assert len(fault) < 400


SOUND = [
    "hello",
    "e\u0301",
    "می\u200cروم",
    "a\tb",
    "\ue000",
    "👩\u200d👩\u200d👧",
    "क्\u200d",
    "...",
    "co\u00adop",
    "x" * LONGEST_TEXT,
]


@pytest.mark.parametrize("text", SOUND, ids=range(len(SOUND)))
def test_other_texts_are_taken(text: str) -> None:
    assert text_faults(text) == []


NOTES = {
    "zero-width space": "hel\u200blo \u200b",
    "byte order mark": "\ufeffhello",
    "soft hyphen": "co\u00adoperate",
    "directional mark": "\u200f\u05e9\u05dc\u202a\u05d5\u2069",
    "word joiner": "a\u2060b\u2062",
    "variation selector": "\u845b\U000e0100 \u2764\ufe0f",
    "control character": "a\x07b \x9f\ufffe",
    "filler or tag": "\u3164\uac00\u034f",
    "joiner where no script needs one": "a\u200db \u200cc",
    "combining mark without a letter": "\u0301a b \u0327",
    "not composed": "e\u0301",
}


@pytest.mark.parametrize(("kind", "text"), NOTES.items(), ids=NOTES)
def test_what_nobody_sees_is_told_with_its_first_line_and_count(kind: str, text: str) -> None:
    notes = TextNotes()
    for line, each in enumerate(["plain", text, "plain", text, text], start=1):
        notes.add(line, each)
    [(line, message)] = notes.messages()
    assert line == 2
    assert message.startswith("3 texts, from this one on, are ")
    if kind != "not composed":
        assert f"{kind}, {3 * invisible_in(text)[kind]} in all." in message


def test_every_kind_has_an_example() -> None:
    assert KINDS.keys() < NOTES.keys()


QUIET = {
    "ASCII": "Hello, world!",
    "a tab": "a\tb",
    "Persian": "می\u200cروم",
    "Arabic shape at the end": "\u0647\u200d",
    "Bengali": "\u09b0\u200d\u09cd\u09af",
    "Hindi": "\u0915\u094d\u200d\u0937 \u0939\u093f",
    "emoji family": "👩\u200d👩\u200d👧",
    "a mark on punctuation": "-\u0301 \u25cc\u0301",
    "Thai": "น้ำ",
    "Hebrew": "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd",
}


@pytest.mark.parametrize("text", QUIET.values(), ids=QUIET)
def test_what_a_script_needs_is_not_told(text: str) -> None:
    notes = TextNotes()
    notes.add(1, unicodedata.normalize("NFC", text))
    assert notes.messages() == []


@given(st.text(max_size=20))
def test_a_blank_text_has_no_word_and_no_more_to_take_away(text: str) -> None:
    if is_blank(text):
        assert get_normaliser("basic")(text) == ""
        assert invisible_in(text) or not text.split()
    assert without_invisible(without_invisible(text)) == without_invisible(text)


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=20))
def test_what_can_be_seen_stays(text: str) -> None:
    hidden = set("\u115f\u1160\u3164\uffa0")
    assert without_invisible(text) == "".join(char for char in text if char not in hidden)

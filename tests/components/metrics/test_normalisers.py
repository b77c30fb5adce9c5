"""Text normalisers by example."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.components.metrics.normalisers import NORMALISERS, get_normaliser
from espnet3.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("none", "  Hello,\tWorld ", "Hello, World"),
        ("basic", "Hello, World!", "hello world"),
        ("basic", "don\u2019t 'quote' rock 'n' roll", "don't quote rock n roll"),
        ("basic", "\uff26\uff35\uff2c\uff2c\uff11\uff12", "full12"),
        ("basic", "Straße", "strasse"),
        ("basic", "e\u0301te\u0301", "\u00e9t\u00e9"),
        ("basic", "हिन्दी।", "हिन्दी"),
        ("basic", "twenty-one / a+b", "twenty one a b"),
        ("basic", "...", ""),
        ("none", "e\u0301\u2003te\u0301", "\u00e9 t\u00e9"),
        ("none", "a\u200bb", "a\u200bb"),
        ("none", "\uff21\uff22", "\uff21\uff22"),
    ],
)
def test_texts(name: str, text: str, expected: str) -> None:
    assert get_normaliser(name)(text) == expected


INVISIBLE = {
    "zero-width space": ("hello\u200b world", "hello world"),
    "zero-width space in a word": ("hel\u200blo", "hello"),
    "byte order mark": ("\ufeffhello", "hello"),
    "soft hyphen": ("co\u00adoperate", "cooperate"),
    "right-to-left mark": ("\u200f\u05e9\u05dc\u05d5\u05dd", "\u05e9\u05dc\u05d5\u05dd"),
    "Arabic letter mark": ("\u061c\u0633\u0644\u0627\u0645", "\u0633\u0644\u0627\u0645"),
    "embedding": ("\u202ahello\u202c", "hello"),
    "isolate": ("\u2068hello\u2069", "hello"),
    "word joiner": ("a\u2060b", "ab"),
    "invisible times": ("a\u2062b", "ab"),
    "combining grapheme joiner": ("a\u034f\u0301", "\u00e1"),
    "variation selector": ("\u845b\U000e0100 \u2764\ufe0f ok", "\u845b ok"),
    "Mongolian variation selector": ("\u1820\u180b", "\u1820"),
    "control characters": ("a\x07b\x7f \x9fc", "ab c"),
    "noncharacters": ("a\ufffe\ufdd0\U0010ffff", "a"),
    "tags": ("ok \U0001f3f4\U000e0067\U000e0062\U000e007f", "ok"),
    "Hangul filler": ("\uac00\u3164 \u3164", "\uac00"),
    "emoji family": ("ok \U0001f468\u200d\U0001f469\u200d\U0001f467", "ok"),
    "skin and hair": ("\U0001f469\U0001f3fd\u200d\U0001f9b0 ok", "ok"),
    "keycap": ("#\ufe0f\u20e3 ok", "ok"),
    "lone marks": ("\u0301\u0323 a \u0301b -\u0301 c", "a b c"),
    "mark after an apostrophe": ("'\u0301a", "a"),
    "mark of a spacing accent": ("a \u00a8 b\u02dc", "a b"),
    "nothing else": ("\u200b\ufeff \u00ad\u2060", ""),
}


@pytest.mark.parametrize(("text", "expected"), INVISIBLE.values(), ids=INVISIBLE)
def test_nothing_invisible_is_part_of_a_word(text: str, expected: str) -> None:
    assert get_normaliser("basic")(text) == expected


NEEDED = {
    "Persian": "\u0645\u06cc\u200c\u0631\u0648\u0645",
    "Bengali ya-phalaa": "\u09b0\u200d\u09cd\u09af\u09be",
    "Sinhala": "\u0d9a\u0dca\u200d\u0dbb",
    "Hindi half letter": "\u0915\u094d\u200d\u0937",
    "Kannada": "\u0cb0\u0ccd\u200c\u0cae",
    "Malayalam": "\u0d28\u0d4d\u200c\u0d2e",
}


@pytest.mark.parametrize("text", NEEDED.values(), ids=NEEDED)
def test_joiners_stay_where_a_script_needs_them(text: str) -> None:
    basic = get_normaliser("basic")
    assert basic(text) == basic(f" {text}. ") == text
    assert basic(text) != basic(text.replace("\u200c", "").replace("\u200d", ""))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\u200db", "ab"),
        ("Auf\u200clage", "auflage"),
        ("\u0645\u200c \u200c\u0645", "\u0645 \u0645"),
        ("\u0645\u06cc\u200c\u200c\u0631", "\u0645\u06cc\u200c\u0631"),
        ("\u0e01\u200d\u0e02", "\u0e01\u0e02"),
    ],
)
def test_joiners_elsewhere_are_invisible(text: str, expected: str) -> None:
    assert get_normaliser("basic")(text) == expected


@pytest.mark.parametrize(
    "mark", "'`\u00b4\u2018\u2019\u201b\u02b9\u02bc\u2032\uff07\uff40", ids=lambda mark: f"{ord(mark):04x}"
)
def test_an_apostrophe_is_an_apostrophe(mark: str) -> None:
    assert get_normaliser("basic")(f"don{mark}t {mark}quoted{mark}") == "don't quoted"


LANGUAGES = {
    "Turkish": ("tr", "I\u015eIK \u0130STANBUL", "\u0131\u015f\u0131k istanbul"),
    "Turkish, taken apart": ("tr", "I\u0307STANBUL", "istanbul"),
    "Turkish, full-width": ("tr-TR", "\uff29", "\u0131"),
    "Azerbaijani": ("az_Latn", "BAKI", "bak\u0131"),
    "by its longer code": ("TUR", "I", "\u0131"),
    "English": ("en", "ICE", "ice"),
    "none named": ("", "I\u015eIK \u0130STANBUL", "i\u015fik istanbul"),
    "lower() of another language": ("", "i\u0307stanbul", "istanbul"),
}


@pytest.mark.parametrize(("language", "text", "expected"), LANGUAGES.values(), ids=LANGUAGES)
def test_case_is_folded_by_the_language(language: str, text: str, expected: str) -> None:
    assert get_normaliser("basic", [language])(text) == expected
    assert get_normaliser("none", [language])(text) == unicodedata.normalize("NFC", text)


SPECIAL = (
    "aEiI\u0130\u0131\u0307\u0301\u0323\u0345\u093c\u0958'\u2019`\u00b4\u0149\u1ffd.- "
    "\u200b\u200c\u200d\u00ad\ufe0f\uff21\u0930\u094d\u1160\ufb01\u01c4\ufffd"
)


@given(st.text(max_size=10) | st.text(st.sampled_from(SPECIAL), max_size=12), st.sampled_from(["en", "tr"]))
def test_basic_twice_is_basic_once(text: str, language: str) -> None:
    basic = get_normaliser("basic", [language])
    assert basic(basic(text)) == basic(text)


@given(st.text(max_size=10) | st.text(st.sampled_from(SPECIAL), max_size=12))
def test_the_form_of_a_text_makes_no_difference(text: str) -> None:
    forms = {unicodedata.normalize(form, text) for form in ("NFC", "NFD")}
    for name in NORMALISERS:
        assert len({get_normaliser(name)(form) for form in forms}) == 1


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no text normaliser 'whisper'; accepted are none, basic\."):
        get_normaliser("whisper")

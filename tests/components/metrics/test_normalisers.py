"""Text normalisers by example."""

import pytest

from espnet3.components.metrics.normalisers import get_normaliser
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
    ],
)
def test_texts(name: str, text: str, expected: str) -> None:
    assert get_normaliser(name)(text) == expected


def test_basic_twice_is_basic_once() -> None:
    normalise = get_normaliser("basic")
    for text in ("İstanbul", "ﬁne ﬂow", "don\u2019t", "Ǆ", "x''y"):
        assert normalise(normalise(text)) == normalise(text)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no text normaliser 'whisper'; accepted are none, basic\."):
        get_normaliser("whisper")

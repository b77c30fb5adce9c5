"""Text normalisers: what is done to references and hypotheses alike before they are compared.

A metric names one (`normaliser: basic`), and metrics.json records the name, because a rate means little without it.
`none` is the default: a difference in case or punctuation is an error unless the config says otherwise. Whichever it
is, it gets texts in the form of `espnet3.components.data.text`, so a recogniser that makes no mistake has a rate of 0.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

from espnet3.components.data.invisible import without_invisible
from espnet3.components.data.text import normalise
from espnet3.errors import ConfigError

Normaliser = Callable[[str], str]
WITH_DOTLESS_I = frozenset({"tr", "tur", "az", "aze", "azj", "azb", "gag", "crh"})
"""Codes of the languages in which I is the capital of \u0131, and \u0130 that of i."""

_APOSTROPHES = str.maketrans(dict.fromkeys("`\u00b4\u2018\u2019\u201b\u02b9\u02bc\u055a\u05f3\u2032\uff07\uff40", "'"))
_DOTLESS_I = str.maketrans({"I": "\u0131", "\u0130": "i"})
_DOTTED_I = re.compile("i\u0307+")
"""What lower() and casefold() make of the dotted capital in other languages."""
_JOINERS, _LOST = "\u200c\u200d", "\N{REPLACEMENT CHARACTER}"


def spaces(text: str, languages: Sequence[str] = ()) -> str:
    """Unicode form NFC, white space at the ends removed, and elsewhere made single spaces."""
    return normalise(text)


def basic(text: str, languages: Sequence[str] = ()) -> str:
    """Unicode form NFKC, case folded, punctuation, symbols and what nobody sees left out; apostrophes in words stay.

    Punctuation and symbols become spaces, invisible characters nothing. Combining marks stay on their letters: without
    them many scripts cannot be read. U+FFFD, which `<unk>` reads as, stays: it is a letter that nobody knows.

    Args:
        text: any text.
        languages: its languages, as codes such as `tr` or `tr-TR`: where one of them has a dotless i, case is folded
            with it.
    """
    compatible = unicodedata.normalize("NFKC", without_invisible(text.translate(_APOSTROPHES)))
    if any(language.replace("_", "-").partition("-")[0].lower() in WITH_DOTLESS_I for language in languages):
        compatible = compatible.translate(_DOTLESS_I)
    folded = _DOTTED_I.sub("i", compatible.casefold())
    words = "".join(_spoken(unicodedata.normalize("NFKC", folded).translate(_APOSTROPHES))).split()
    return " ".join(word for token in words if (word := token.strip(f"'{_JOINERS}")))


NORMALISERS: Mapping[str, Callable[[str, Sequence[str]], str]] = {"none": spaces, "basic": basic}


def get_normaliser(name: str, languages: Sequence[str] = ()) -> Normaliser:
    """The normaliser of that name, for texts in any Unicode form.

    Args:
        name: one of `NORMALISERS`.
        languages: codes of the languages of the texts, as far as they are known.

    Raises:
        ConfigError: there is none; lists those that there are.
    """
    if name not in NORMALISERS:
        raise ConfigError(f"There is no text normaliser {name!r}; accepted are {', '.join(NORMALISERS)}.")
    chosen = NORMALISERS[name]
    return lambda text: normalise(chosen(normalise(text), languages))


def _spoken(text: str) -> Sequence[str]:
    """The characters of a text, punctuation and symbols as spaces, without marks and joiners that no letter carries."""
    kept: list[str] = []
    on_letter = False
    for char in text:
        kind = unicodedata.category(char)[0]
        hangs_on = kind == "M" or char in _JOINERS
        if hangs_on and not on_letter:
            continue
        if not hangs_on:
            on_letter = char == _LOST or not (kind in "PS" or char.isspace())
        kept.append(char if kind not in "PS" or char in ("'", _LOST) else " ")
    return kept

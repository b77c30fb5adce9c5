"""Text normalisers: what is done to references and hypotheses alike before they are compared.

A metric names one (`normaliser: basic`), and metrics.json records the name, because a rate means little without it.
`none` is the default: a difference in case or punctuation is an error unless the config says otherwise.
"""

import unicodedata
from collections.abc import Callable, Mapping

from espnet3.errors import ConfigError

Normaliser = Callable[[str], str]
_APOSTROPHES = str.maketrans("\u2018\u2019\u02bc\uff07", "''''")


def spaces(text: str) -> str:
    """White space at the ends removed, and elsewhere made single spaces."""
    return " ".join(text.split())


def basic(text: str) -> str:
    """Unicode form NFKC, case folded, punctuation and symbols made spaces; apostrophes inside words stay.

    Combining marks stay too: without them many scripts cannot be read.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold().translate(_APOSTROPHES))
    kept = "".join(char if char == "'" or unicodedata.category(char)[0] not in "PS" else " " for char in folded)
    return " ".join(word for token in kept.split() if (word := token.strip("'")))


NORMALISERS: Mapping[str, Normaliser] = {"none": spaces, "basic": basic}


def get_normaliser(name: str) -> Normaliser:
    """The normaliser of that name.

    Raises:
        ConfigError: there is none; lists those that there are.
    """
    if name in NORMALISERS:
        return NORMALISERS[name]
    raise ConfigError(f"There is no text normaliser {name!r}; accepted are {', '.join(NORMALISERS)}.")

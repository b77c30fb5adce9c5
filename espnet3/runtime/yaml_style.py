"""When a text must stand in quotes in YAML, so that every reader of YAML reads the text.

The run config and the manifests of the generator are written by it. PyYAML leaves bare what PyYAML itself would read as
a text, and other readers take some of that for something else: `1234567890e1` is a number to kubectl, `0o17` and `1e3`
are to YAML 1.2, `y` is true to YAML 1.1.
"""

import re

_WORDS = {"", "~", "=", "<<", "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
_NUMBER = re.compile(
    r"[-+]?(?:[._\d][\d_.,:eEtTzZ+\- ]*|0[xX][\da-fA-F_.pP+\-]*|0[oO][\d_]*|0[bB][\d_]*|\.?(?:inf(?:inity)?|nan))",
    re.ASCII | re.IGNORECASE,
)
"""Integers with any base and separator, floats, sexagesimals and dates of YAML 1.1, 1.2, Go and Ruby; and more."""
# PyYAML writes \x85 as it is and reads it as a line break.
_TO_ESCAPE = re.compile("[^\n\x20-\x7e\xa1-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")


def style_of(text: str) -> str | None:
    """PyYAML's style for a scalar that is a text: `"` or `'`; None where it may choose, also to write it bare."""
    if _TO_ESCAPE.search(text):
        return '"'
    return "'" if text.lower() in _WORDS or text.startswith(":") or _NUMBER.fullmatch(text) else None

"""The one form in which texts are compared: Unicode's NFC, with single spaces between words.

The same word can be stored in several ways: macOS takes letters apart (NFD), keyboards differ for Bengali, Hindi and
Hebrew letters, Hangul may come in jamo. Manifests are written and read in NFC (`composed`); tokenizers, n-grams,
lexicons, ARPA files and metrics see texts through `normalise`. Full-width forms are letters of their own in NFC; only
the normaliser `basic` makes them equal. Which characters nobody can see is told by `invisible`.
"""

import unicodedata


def composed(text: str) -> str:
    """`text` in NFC; white space stays as it is."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def normalise(text: str) -> str:
    """`text` in NFC, with single spaces between words and none at the ends."""
    return " ".join(composed(text).split())

"""What is wrong with a transcript, and what in it is worth a look.

`utterance_checks` asks for the faults of each text, `validation` counts the rest (`TextNotes`) over a manifest and says
each kind once, so that a corpus of a million lines has a handful of warnings.
"""

from collections import Counter
from dataclasses import dataclass, field

from espnet3.components.data.invisible import invisible_in, is_blank
from espnet3.components.data.text import composed

LONGEST_TEXT = 100_000
"""Characters; nobody says more in the hour that an utterance may last."""
LOST = "\N{REPLACEMENT CHARACTER}"
"""What programs write for bytes that they could not read as a character, and tokenizers for `<unk>`."""
NOT_COMPOSED = "not composed"

_SHOWN = 80


def text_faults(text: str) -> list[str]:
    """Why a transcript cannot be used; most can."""
    if not text.strip():
        return ["text is empty."]
    if len(text) > LONGEST_TEXT:
        return [f"text has {len(text)} characters; a transcript has at most {LONGEST_TEXT}. Is it a whole file?"]
    faults = []
    if len(text.splitlines()) > 1 or "\0" in text:
        faults.append(f"text holds a line break or a NUL: {shown(text)}.")
    elif is_blank(text):
        faults.append(f"text is empty: nothing in it can be seen ({_code_points(text)}).")
    if LOST in text:
        faults.append(
            f"text holds U+FFFD, which stands for a character that could not be read: {shown(text)}. Take the text "
            "from its source again, in the right encoding, or leave the utterance out."
        )
    return faults


@dataclass
class TextNotes:
    """Counts what is worth a look over the texts of a manifest."""

    texts: Counter[str] = field(default_factory=Counter)
    """How many texts have something of a kind."""
    characters: Counter[str] = field(default_factory=Counter)
    """How many characters are of a kind."""
    first: dict[str, int] = field(default_factory=dict)
    """The first line that has something of a kind."""

    def add(self, line: int, text: str) -> None:
        """Look at the text on a line (from 1)."""
        if text.isascii() and text.isprintable():
            return
        found = invisible_in(text)
        if composed(text) != text:
            found[NOT_COMPOSED] = 1
        for kind, count in found.items():
            self.texts[kind] += 1
            self.characters[kind] += count
            self.first.setdefault(kind, line)

    def messages(self) -> list[tuple[int, str]]:
        """The first line and a sentence for each kind that was found."""
        return [(line, self._message(kind)) for kind, line in self.first.items()]

    def _message(self, kind: str) -> str:
        texts = "1 text is" if self.texts[kind] == 1 else f"{self.texts[kind]} texts, from this one on, are"
        if kind == NOT_COMPOSED:
            return f"{texts} in another Unicode form than NFC; stages read NFC, and so does measure."
        return f"{texts} written with what nobody sees: {kind}, {self.characters[kind]} in all. Take it out."


def shown(text: str) -> str:
    """A text as messages show it: escaped where it cannot be seen, and not too long."""
    return repr(text) if len(text) <= _SHOWN else f"{text[:_SHOWN]!r}…"


def _code_points(text: str) -> str:
    found = sorted({f"U+{ord(char):04X}" for char in text if not char.isspace()})
    return ", ".join(found[:5]) + ("…" if len(found) > 5 else "")

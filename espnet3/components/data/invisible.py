"""Characters that nobody can see: which they are, where they are needed, texts without them.

The normaliser `basic` leaves them out, `text_checks` tells of them. They are those of Unicode's property
Default_Ignorable_Code_Point (DerivedCoreProperties.txt, Unicode 15), control characters that are no white space,
annotation marks and noncharacters. Zero-width joiners and non-joiners shape words in some scripts and stay there.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping

_LAST_OF_PLANES = "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000))

KINDS: Mapping[str, str] = {
    "zero-width space": "\u200b",
    "byte order mark": "\ufeff",
    "soft hyphen": "\u00ad",
    "directional mark": "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069",
    "word joiner": "\u2060-\u2064",
    "variation selector": "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef",
    "control character": f"\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\ufff9-\ufffb\ufdd0-\ufdef{_LAST_OF_PLANES}",
    "filler or tag": (
        "\u034f\u115f\u1160\u17b4\u17b5\u180e\u2065\u206a-\u206f\u3164\uffa0\ufff0-\ufff8"
        "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
    ),
}
"""The characters of each kind, as in a class of a regular expression."""

JOINER, LONE_MARK = "joiner where no script needs one", "combining mark without a letter"

_HIDDEN = re.compile(f"[{''.join(KINDS.values())}]")
_OF_KIND = {kind: re.compile(f"[{characters}]") for kind, characters in KINDS.items()}
_EMPTY = re.compile(f"[{''.join(KINDS.values())}\u200c\u200d\u2800\U0001d159]")
"""And two symbols without ink: the blank of Braille and the musical null notehead."""
_JOINERS = re.compile("[\u200c\u200d]+")
_JOINING = re.compile(
    # Arabic, Syriac, N'Ko …; Indic; Tibetan, Myanmar; Khmer, Mongolian; Limbu … Vedic; Syloti Nagri … Meetei Mayek;
    # Arabic forms; Kharoshthi … Sogdian; Brahmi and its daughters
    "[\u0600-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\uabff"
    "\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010fff\U00011000-\U00011fff]"
)


def without_invisible(text: str) -> str:
    """`text` without what nobody sees; joiners stay between letters of scripts that need them.

    A combining mark without a letter stays: what counts as a letter is up to the caller.
    """
    if _is_plain(text):
        return text
    return _JOINERS.sub(_shaping, _HIDDEN.sub("", text))


def is_blank(text: str) -> bool:
    """Whether there is nothing to see in `text`: white space, invisible characters, marks without a letter."""
    return all(char.isspace() or unicodedata.category(char)[0] == "M" or _EMPTY.match(char) for char in text)


def invisible_in(text: str) -> Counter[str]:
    """How many characters of each kind are in `text`, the white space apart; none where each has its use."""
    if _is_plain(text):
        return Counter()
    shown = _HIDDEN.sub("", text)
    found = {kind: len(pattern.findall(text)) for kind, pattern in _OF_KIND.items()} if shown != text else {}
    found[JOINER] = sum(len(run[0]) for run in _JOINERS.finditer(shown) if not _is_needed(run))
    found[LONE_MARK] = _lone_marks(_JOINERS.sub("", shown))
    return Counter({kind: count for kind, count in found.items() if count})


def _is_plain(text: str) -> bool:
    """Whether a text is printable ASCII, as most are, which takes no closer look."""
    return text.isascii() and text.isprintable()


def _shaping(run: re.Match[str]) -> str:
    """What is left of joiners: the first, where it is between letters that it shapes."""
    before, after = _neighbours(run)
    return run[0][0] if _JOINING.match(before) and _JOINING.match(after) else ""


def _is_needed(run: re.Match[str]) -> bool:
    """Whether a joiner shapes a letter beside it, or puts an emoji together."""
    before, after = _neighbours(run)
    if len(run[0]) > 1:
        return False
    if run[0] == "\u200c":
        return bool(_JOINING.match(before) and _JOINING.match(after))
    shapes = _JOINING.match(before) or _JOINING.match(after)
    return bool(shapes) or all(char and unicodedata.category(char)[0] == "S" for char in (before, after))


def _neighbours(run: re.Match[str]) -> tuple[str, str]:
    return run.string[run.start() - 1 : run.start()] if run.start() else "", run.string[run.end() : run.end() + 1]


def _lone_marks(text: str) -> int:
    """How many combining marks begin a word."""
    return sum(unicodedata.category(word[0])[0] == "M" for word in text.split())

"""Where the recordings of an Ogg file lie, and whether its last page is whole: recordings may follow each other.

Each has streams that begin with a page marked as the first, all of them before any other page (RFC 3533). libsndfile
reads one recording; which codec it is, is its business.
"""

from dataclasses import dataclass
from typing import BinaryIO

MARK = b"OggS"
PAGE_HEAD = 27
"""Bytes before the lengths of a page's segments; the sixth has the marks, the last counts segments."""
FIRST, LAST = 2, 4
"""Marks of the first and the last page of a stream."""
SEARCH = 1 << 16
"""Bytes read at once in search of the next page."""
_FOREIGN = {
    b"Speex   ": "Speex",
    b"\x80theora": "Theora video",
    b"BBCD\0": "Dirac video",
    b"CELT    ": "CELT",
    b"\x01video": "video",
}


@dataclass(slots=True)
class OggRecording:
    """One recording in an Ogg file."""

    start: int
    end: int
    is_finished: bool = False
    """Whether its last page is marked as such."""
    missing: int = 0
    """Bytes that its last page lacks."""
    foreign: str = ""
    """The codec, where libsndfile does not read it."""


def find_recordings(file: BinaryIO, start: int, end: int) -> list[OggRecording]:
    """The recordings between two places of a file; what lies between pages is passed over."""
    found: list[OggRecording] = []
    place, was_first = start, False
    while (place := _next_page(file, place, end)) < end:
        head = file.read(PAGE_HEAD)
        lengths = file.read(head[-1]) if len(head) == PAGE_HEAD else b""
        whole = place + PAGE_HEAD + (head[-1] if len(head) == PAGE_HEAD else 0) + sum(lengths)
        is_first = len(head) == PAGE_HEAD and bool(head[5] & FIRST)
        if not found or (is_first and not was_first):
            found.append(OggRecording(place, end))
        if is_first:
            found[-1].foreign = found[-1].foreign or _foreign(file.read(8))
        was_first = is_first
        found[-1].is_finished = len(head) == PAGE_HEAD and bool(head[5] & LAST)
        found[-1].missing = max(0, whole - end)
        found[-1].end = place = min(whole, end)
    return found


def _foreign(content: bytes) -> str:
    return next((name for mark, name in _FOREIGN.items() if content.startswith(mark)), "")


def _next_page(file: BinaryIO, place: int, end: int) -> int:
    """Go to the next page; returns its place, or `end`."""
    while place < end:
        file.seek(place)
        window = file.read(min(SEARCH, end - place))
        if (at := window.find(MARK)) >= 0:
            file.seek(place + at)
            return place + at
        place += max(1, len(window) - len(MARK) + 1)
    return end

"""Where the samples of AIFF, AU, CAF and W64 files lie, whatever the size in front of them says.

As in `riff`: a size that is unknown or too small is that of the rest of the file, unless chunks, or nothing but zeros
or text, follow; one that reaches over the end means that samples are missing. Sources: Apple's AIFF-C draft of 1991 and
CAF specification; Sonic Foundry's Wave 64; the header of Sun's audio files.
"""

import struct
from dataclasses import dataclass
from typing import BinaryIO

from espnet3.components.data.containers.splice import Piece

MARKS = (b"FORM", b".snd", b"caff", b"riff")
SLACK = 64
"""Bytes by which a size may be too large without anything being missed."""
_UNKNOWN = ((0x7FFF_0000, 0x8001_0000), (0xFFFF_0000, 0x1_0000_0000), (1 << 62, 1 << 64))
"""Sizes beyond the end of the file that mean that the program that wrote it did not know."""
_TEXT = bytes([9, 10, 13, *range(32, 127)])
_LONGEST_HEADER = 1 << 20
"""Bytes; what is longer is left as it is."""


@dataclass(frozen=True, slots=True)
class Samples:
    """Where samples lie, and what the header says about it."""

    start: int
    """The place of the first byte."""
    stated: int
    """Bytes from there on, according to the header; -1 where it does not know."""
    size_place: int
    """Where the header says so."""
    size_format: str
    """As struct has it."""
    size_extra: int
    """What is counted besides the samples."""
    end: int
    """Of the samples."""

    @property
    def is_plain(self) -> bool:
        """Whether libsndfile reads the file as it is; it does not take a CAF file that does not know its length."""
        return self.stated == self.end - self.start or (self.stated < 0 and self.size_format == ">I")

    @property
    def is_longer(self) -> bool:
        """Whether there is more than the header says."""
        return 0 < self.stated < self.end - self.start

    @property
    def is_cut(self) -> bool:
        """Whether there is less."""
        return self.stated > self.end - self.start + SLACK

    def pieces(self, file: BinaryIO) -> list[Piece]:
        """The file with the right size in its header."""
        file.seek(0)
        head = bytearray(file.read(self.start))
        struct.pack_into(self.size_format, head, self.size_place, self.end - self.start + self.size_extra)
        return [bytes(head), range(self.start, self.end)]


def find_samples(file: BinaryIO, end: int) -> Samples | None:
    """Where the samples of a file lie; None where that is not known here."""
    file.seek(0)
    head = file.read(40)
    find = {b"FORM": _aiff, b".snd": _au, b"caff": _caf, b"riff": _w64}[head[:4]]
    found = find(file, head, end)
    return found if found is None or found.start <= min(end, _LONGEST_HEADER) else None


def _au(file: BinaryIO, head: bytes, end: int) -> Samples | None:
    if len(head) < 24:
        return None
    start, stated = struct.unpack_from(">II", head, 4)
    if start < 24:
        return None
    stated = -1 if stated == 0xFFFF_FFFF else stated
    return _samples(file, (start, stated, 8, ">I", 0), end, None)


def _aiff(file: BinaryIO, head: bytes, end: int) -> Samples | None:
    if head[8:12] not in {b"AIFF", b"AIFC"}:
        return None
    place = 12
    while (chunk := _read(file, place, ">4sI")) is not None:
        name, size = chunk
        if name == b"SSND":
            return _samples(file, (place + 16, max(0, size - 8), place + 4, ">I", 8), end, _AIFF_CHUNK)
        place += 8 + size + size % 2
    return None


def _caf(file: BinaryIO, _: bytes, end: int) -> Samples | None:
    place = 8
    while (chunk := _read(file, place, ">4sq")) is not None:
        name, size = chunk
        if name == b"data":
            stated = -1 if size < 0 else max(0, size - 4)
            return _samples(file, (place + 16, stated, place + 4, ">q", 4), end, _CAF_CHUNK)
        if size < 0:
            return None
        place += 12 + size
    return None


def _w64(file: BinaryIO, _: bytes, end: int) -> Samples | None:
    place = 40
    while (chunk := _read(file, place, "<4s12xQ")) is not None:
        name, size = chunk
        if name == b"data":
            return _samples(file, (place + 24, max(0, size - 24), place + 16, "<Q", 24), end, _W64_CHUNK)
        if size < 24:
            return None
        place += -(-size // 8) * 8
    return None


@dataclass(frozen=True, slots=True)
class _Chunks:
    """How chunks follow each other."""

    head: str
    own: int
    """Bytes of the head that its size does not count."""
    multiple: int
    """What chunks are filled up to."""


_AIFF_CHUNK, _CAF_CHUNK, _W64_CHUNK = _Chunks(">4sI", 8, 2), _Chunks(">4sq", 12, 1), _Chunks("<4s12xQ", 0, 8)


def _samples(file: BinaryIO, where: tuple[int, int, int, str, int], end: int, chunks: _Chunks | None) -> Samples:
    start, stated, size_place, size_format, extra = where
    after = start + stated
    if stated < 0:
        after = end
    elif after > end:
        is_unknown = any(low <= stated < high for low, high in _UNKNOWN)
        return Samples(start, 0 if is_unknown else stated, size_place, size_format, extra, end)
    elif not (_is_followed_by_chunks(file, after, end, chunks) or is_filling(file, after, end)):
        after = end
    return Samples(start, stated, size_place, size_format, extra, after)


def _is_followed_by_chunks(file: BinaryIO, place: int, end: int, chunks: _Chunks | None) -> bool:
    """Whether chunks fill the rest of the file."""
    if place >= end or chunks is None:
        return place >= end
    place = -(-place // chunks.multiple) * chunks.multiple
    while place < end:
        found = _read(file, place, chunks.head)
        if found is None or not all(32 <= byte < 127 for byte in found[0]) or found[1] < 0:
            return False
        size = chunks.own + found[1]
        if size < struct.calcsize(chunks.head):
            return False
        place += -(-size // chunks.multiple) * chunks.multiple
    return place < end + chunks.multiple


def is_filling(file: BinaryIO, place: int, end: int) -> bool:
    """Whether nothing but zeros, or nothing but text, lies between two places: neither is sound."""
    file.seek(place)
    is_zero = is_text = True
    while (is_zero or is_text) and (content := file.read(min(1 << 16, max(0, end - place)))):
        is_zero = is_zero and content.count(0) == len(content)
        is_text = is_text and not content.translate(None, _TEXT)
        place += len(content)
    return is_zero or is_text


def _read(file: BinaryIO, place: int, form: str) -> tuple[bytes, int] | None:
    if place >= 1 << 62:
        return None
    file.seek(place)
    head = file.read(struct.calcsize(form))
    if len(head) < struct.calcsize(form):
        return None
    name, size = struct.unpack(form, head)
    return name, size

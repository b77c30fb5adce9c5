"""Where the recordings of a FLAC file lie, and how long they are: a header may say nothing, or less than there is.

The length is that which the last frame tells. Recordings that were joined follow each other, each with its own header.
Source: RFC 9639.
"""

from dataclasses import dataclass
from typing import BinaryIO

from espnet3.components.data.containers.splice import Piece

MARK = b"fLaC"
STREAM_INFO = 34
"""Bytes of the block that each recording begins with, after the mark and the block's own four bytes."""
MOST_FRAMES = 1 << 36
"""What a header can count to, at most, and not quite."""
ID3V1 = 128
"""Bytes of a tag that other programs put at the end."""
SEARCH = 1 << 20
"""Bytes read at once."""
LONGEST_FRAME = 1 << 17
"""Bytes at the end that are searched for the last frame at first."""
_SYNC = (b"\xff\xf8", b"\xff\xf9")
_BLOCK_SIZES = {1: 192, **{code: 144 << code for code in range(2, 6)}, **{code: 1 << code for code in range(8, 16)}}


@dataclass(frozen=True, slots=True)
class FlacRecording:
    """One recording in a FLAC file."""

    start: int
    """The place of its mark."""
    end: int
    """Of its last whole frame."""
    info: bytes
    """Its first block."""
    actual: int
    """Samples of each channel up to the end of the last whole frame."""

    @property
    def promised(self) -> int:
        """Samples of each channel according to the header; 0 where it does not know."""
        return int.from_bytes(self.info[10:18], "big") & (MOST_FRAMES - 1)

    @property
    def rate(self) -> int:
        """In Hz."""
        return int.from_bytes(self.info[10:18], "big") >> 44

    def pieces(self) -> list[Piece]:
        """The recording with a header that says how long it is."""
        if self.promised == self.actual:
            return [range(self.start, self.end)]
        fields = int.from_bytes(self.info[10:18], "big") & ~(MOST_FRAMES - 1) | min(self.actual, MOST_FRAMES - 1)
        head = (
            MARK + self._block_head + self.info[:10] + fields.to_bytes(8, "big") + bytes(16)
        )  # no MD5 of other samples
        return [head, range(self.start + 8 + STREAM_INFO, self.end)]

    @property
    def _block_head(self) -> bytes:
        return self.info[STREAM_INFO:]


def find_recordings(file: BinaryIO, start: int, end: int) -> list[FlacRecording]:
    """The recordings between two places, of which the first one begins at `start`: every byte is looked at.

    There is none where the header is not whole.
    """
    if not _is_header(file, start):
        return []
    file.seek(max(start, end - ID3V1))
    end -= ID3V1 if file.read(3) == b"TAG" else 0
    starts = [start, *_marks(file, start + 8 + STREAM_INFO, end)]
    return [_recording(file, one, after) for one, after in zip(starts, [*starts[1:], end], strict=True)]


def promises_length(file: BinaryIO, start: int) -> bool:
    """Whether the header of the recording that begins at a place says how long it is."""
    file.seek(start + 18)
    return bool(int.from_bytes(file.read(8), "big") & (MOST_FRAMES - 1))


def may_be_right(file: BinaryIO, end: int) -> bool:
    """Whether the header of the file's only recording agrees with the number of its last frame, if that is whole."""
    start = 8 + STREAM_INFO
    if not _is_header(file, 0) or _marks(file, start, end):
        return False
    file.seek(8)
    info = file.read(STREAM_INFO)
    place = max(start, end - LONGEST_FRAME)
    file.seek(place)
    tail = file.read(max(0, end - place))
    at = len(tail)
    while at > 0 and (at := max(tail.rfind(sync, 0, at + 1) for sync in _SYNC)) >= 0:
        samples = _end_of_frame(tail, at, info)
        if samples is not None:
            return samples == int.from_bytes(info[10:18], "big") & (MOST_FRAMES - 1)
        at -= 1
    return False


def _recording(file: BinaryIO, start: int, end: int) -> FlacRecording:
    file.seek(start + len(MARK))
    head, info = file.read(4), file.read(STREAM_INFO)
    actual, sound_end = _last_frame(file, start + 8 + STREAM_INFO, end, info)
    return FlacRecording(start, sound_end, info + head, actual)


def _marks(file: BinaryIO, place: int, end: int) -> list[int]:
    """Where a mark stands that a block of information follows."""
    found, rest = [], b""
    file.seek(place)
    while place < end and (content := file.read(min(SEARCH, end - place))):
        window, base = rest + content, place - len(rest)
        at = window.find(MARK)
        while at >= 0:
            found.append(base + at)
            at = window.find(MARK, at + 1)
        rest, place = window[1 - len(MARK) :], place + len(content)
    return [mark for mark in found if _is_header(file, mark)]


def _is_header(file: BinaryIO, place: int) -> bool:
    file.seek(place + len(MARK))
    head = file.read(4 + STREAM_INFO)
    if len(head) < 4 + STREAM_INFO or head[0] & 0x7F or int.from_bytes(head[1:4], "big") != STREAM_INFO:
        return False
    smallest, largest = int.from_bytes(head[4:6], "big"), int.from_bytes(head[6:8], "big")
    return 16 <= smallest <= largest and int.from_bytes(head[14:18], "big") >> 12 > 0


def _last_frame(file: BinaryIO, start: int, end: int, info: bytes) -> tuple[int, int]:
    """The samples up to the end of the last whole frame, and its place; without any, 0 and `end`."""
    size = LONGEST_FRAME
    while True:
        place = max(start, end - size)
        file.seek(place)
        found = _last_frame_of(file.read(max(0, end - place)), info)
        if found is not None or place <= start:
            break
        size *= 8
    return (found[0], place + found[1]) if found else (0, end)


def _last_frame_of(tail: bytes, info: bytes) -> tuple[int, int] | None:
    after = at = len(tail)
    while at > 0 and (at := max(tail.rfind(sync, 0, at + 1) for sync in _SYNC)) >= 0:
        samples = _end_of_frame(tail, at, info)
        if samples is not None and _crc16(tail[at:after]) == 0:
            return samples, after
        after = after if samples is None else at
        at -= 1
    return None


def _end_of_frame(tail: bytes, at: int, info: bytes) -> int | None:
    """The number of the sample after a frame, if its header is one."""
    size_code, place = tail[at + 2] >> 4 if at + 2 < len(tail) else 0, at + 4
    number = _coded_number(tail, place)
    if number is None or size_code == 0:
        return None
    value, place = number
    block = _BLOCK_SIZES.get(size_code, 0)
    if size_code in {6, 7}:
        width = size_code - 5
        block, place = int.from_bytes(tail[place : place + width], "big") + 1, place + width
    place += {12: 1, 13: 2, 14: 2}.get(tail[at + 2] & 15, 0)
    if place >= len(tail) or _crc8(tail[at:place]) != tail[place]:
        return None
    is_variable = tail[at + 1] & 1
    return (value if is_variable else value * int.from_bytes(info[2:4], "big")) + block


def _coded_number(content: bytes, place: int) -> tuple[int, int] | None:
    """A number as UTF-8 codes it, up to 36 bits, and the place after it."""
    if place >= len(content):
        return None
    first = content[place]
    if first < 0x80:
        return first, place + 1
    length = 8 - (~first & 0xFF).bit_length()
    rest = content[place + 1 : place + length]
    if not 2 <= length <= 7 or len(rest) < length - 1 or any(byte >> 6 != 2 for byte in rest):
        return None
    value = first & (0x7F >> length)
    for byte in rest:
        value = value << 6 | byte & 0x3F
    return value, place + length


def _crc8(content: bytes) -> int:
    value = 0
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value


def _crc16_table() -> list[int]:
    table = []
    for value in range(0, 1 << 16, 1 << 8):
        for _ in range(8):
            value = (value << 1 ^ 0x8005) & 0xFFFF if value & 0x8000 else value << 1  # noqa: PLW2901
        table.append(value)
    return table


_CRC16 = _crc16_table()


def _crc16(content: bytes) -> int:
    value = 0
    for byte in content:
        value = value << 8 & 0xFF00 ^ _CRC16[value >> 8 ^ byte]
    return value

"""Where the samples of a WAV file lie, whatever its sizes say: RIFF, RIFX, RF64 and BW64.

Sizes are wrong where a recorder was killed (0), wrote to a pipe (all ones, or near 2 GiB), wrapped at 4 GiB, or had
another idea of what they count. What follows the samples is known by its own chunks; where there are none, it is more
samples. Files that were joined follow each other, each with its own header. Source: EBU Tech 3306; Microsoft's
Multimedia Data Standards Update, 1994.
"""

import struct
from dataclasses import dataclass, replace
from typing import BinaryIO

from espnet3.components.data.containers.chunks import is_filling
from espnet3.components.data.containers.splice import Piece

MARKS = (b"RIFF", b"RIFX", b"RF64", b"BW64")
ID3V1 = 128
"""Bytes of a tag at the end of a file."""
HEAD = 12
"""Bytes before the first chunk."""
SLACK = 64
"""Bytes by which a size may be too large without anything being missed: headers that were counted."""
SLACK_SECONDS = 0.01
"""The same, where that is more."""
_TAGS = (b"ID3", b"APETAGEX", b"LYRICSBEGIN")
"""What other programs leave behind the samples, besides chunks."""
_NAMES = (
    b"LISTfactcue bextiXMLid3 ID3 PEAKsmplinstJUNKjunkPAD afspDISP_PMXaxmlchnacartumidlevlplstSAURminfelm1regn"
    b"DGDAFLLRresustrcacidResUMD5 qltyds64fmt list"
)
KNOWN = frozenset(_NAMES[place : place + 4] for place in range(0, len(_NAMES), 4))
"""Chunks, of which the last one may be cut without a sample being missed."""
_UNKNOWN = ((0x7FFF_0000, 0x8001_0000), (0xFFFF_0000, 0x1_0000_0000))
_SIMPLE = frozenset({0x0001, 0x0003, 0x0006, 0x0007})
"""PCM, float, A-law and µ-law: a block is a sample of each channel."""
_EXTENSIBLE = 0xFFFE


@dataclass(frozen=True, slots=True)
class WavRecording:
    """One recording in a WAV file."""

    format: bytes
    """The chunk `fmt `, without its head."""
    others: bytes
    """Chunks before the samples that a decoder may need."""
    start: int
    """The place of the first sample."""
    end: int
    promised: int | None
    """Bytes of samples according to the header; None where it does not know."""
    is_plain: bool
    """Whether libsndfile reads it right as it is, if it is alone in the file."""
    order: str
    """`<` or `>`, as struct has it."""

    @property
    def code(self) -> int:
        """The encoding's number."""
        (code,) = struct.unpack_from(self.order + "H", self.format)
        if code == _EXTENSIBLE and len(self.format) >= 26:
            (code,) = struct.unpack_from(self.order + "H", self.format, 24)
        return int(code)

    @property
    def bytes_per_second(self) -> float:
        """Of the encoded samples; 0 where the header does not say."""
        _, _, rate, average, block = struct.unpack_from(self.order + "HHIIH", self.format)
        return float(rate * block if self.code in _SIMPLE else average)

    def pieces(self) -> list[Piece]:
        """The recording with a right header."""
        size = self.end - self.start
        chunks = self._chunk(b"fmt ", self.format) + self.others
        if size + len(chunks) + 64 < 1 << 32:
            mark = b"RIFF" if self.order == "<" else b"RIFX"
            head = mark + struct.pack(self.order + "I", 4 + len(chunks) + 8 + size) + b"WAVE" + chunks
            return [head + b"data" + struct.pack(self.order + "I", size), range(self.start, self.end)]
        sizes = struct.pack("<QQQI", 4 + 36 + len(chunks) + 8 + size, size, 0, 0)
        head = b"RF64\xff\xff\xff\xffWAVE" + self._chunk(b"ds64", sizes) + chunks
        return [head + b"data\xff\xff\xff\xff", range(self.start, self.end)]

    def _chunk(self, name: bytes, content: bytes) -> bytes:
        return name + struct.pack(self.order + "I", len(content)) + content + b"\0" * (len(content) % 2)


def find_recordings(file: BinaryIO, start: int, end: int) -> list[WavRecording]:
    """The recordings between two places of a file, of which the first one begins at `start`.

    There is none where the header is not whole.
    """
    found: list[WavRecording] = []
    place: int | None = start
    while place is not None and (recording := _Reader(file, place, end).recording()) is not None:
        found.append(recording)
        place = recording.end + (recording.end - recording.start) % 2
        place = next((at for at in (recording.end, place) if _mark_at(file, at) in MARKS), None)
    return found


def _mark_at(file: BinaryIO, place: int) -> bytes:
    file.seek(place)
    head = file.read(HEAD)
    return head[:4] if head[8:] == b"WAVE" else b""


class _Reader:
    """Reads the chunks of one recording."""

    def __init__(self, file: BinaryIO, start: int, end: int) -> None:
        self._file, self._start, self._end = file, start, end
        file.seek(start)
        mark = file.read(HEAD)[:4]
        self._order = ">" if mark == b"RIFX" else "<"
        self._is_plain = mark != b"BW64"
        self._data_size: int | None = None  # of an RF64 file
        self._format = self._others = b""

    def recording(self) -> WavRecording | None:
        """The recording; None where there are no samples, or no format."""
        place = self._start + HEAD
        while (chunk := self._chunk(place)) is not None:
            name, size = chunk
            content = place + 8
            if name == b"data":
                return self._samples(content, size) if len(self._format) >= 14 else None
            self._keep(name, content, size)
            place = self._after(content, size)
        return None

    def _chunk(self, place: int) -> tuple[bytes, int] | None:
        self._file.seek(place)
        head = self._file.read(8)
        if len(head) < 8 or place + 8 > self._end:
            return None
        return head[:4], struct.unpack(self._order + "I", head[4:])[0]

    def _keep(self, name: bytes, place: int, size: int) -> None:
        self._file.seek(place)
        if name == b"fmt ":
            self._format = self._file.read(min(size, 1 << 10))
        elif name == b"fact" and size <= 64:
            self._others = name + struct.pack(self._order + "I", size) + self._file.read(size) + b"\0" * (size % 2)
        elif name == b"ds64" and len(sizes := self._file.read(16)) == 16:
            self._data_size = struct.unpack("<QQ", sizes)[1]

    def _after(self, content: int, size: int) -> int:
        """The place of the next chunk; some programs leave out the byte that makes sizes even."""
        after = content + size + size % 2
        if size % 2:
            self._file.seek(after - 1)
            around = self._file.read(5)
            if around[:4] in KNOWN | {b"data"} and around[1:] not in KNOWN | {b"data"}:
                self._is_plain = False
                return after - 1
        return after

    def _samples(self, start: int, size: int) -> WavRecording:
        if size == 0xFFFF_FFFF and self._data_size is not None:
            size, is_unknown = self._data_size, self._data_size == 0
        else:
            self._is_plain = self._is_plain and self._data_size is None
            is_unknown = start + size > self._end and any(low <= size < high for low, high in _UNKNOWN)
        found = WavRecording(self._format, self._others, start, start + size, size, self._is_plain, self._order)
        if is_unknown:
            return replace(found, end=self._without_tag(start), promised=None, is_plain=self._is_plain and size > 0)
        if start + size > self._end:
            slack = max(SLACK, SLACK_SECONDS * found.bytes_per_second)
            is_rounding = start + size - self._end <= slack
            return replace(found, end=self._end, promised=self._end - start if is_rounding else size)
        if self._is_end(start + size) or self._is_end(start + size + size % 2):
            return found
        end = self._without_tag(start)
        return found if end <= start + size else replace(found, end=end, promised=size or None, is_plain=False)

    def _is_end(self, place: int) -> bool:
        """Whether the file ends, or chunks up to its end follow, or another recording, a tag or filling."""
        if place >= self._end or is_filling(self._file, place, self._end):
            return True
        while place + 8 <= self._end:
            self._file.seek(place)
            head = self._file.read(HEAD)
            name, size = head[:4], struct.unpack(self._order + "I", head[4:8])[0]
            if (name in MARKS and head[8:] == b"WAVE") or head.startswith(_TAGS):
                return True
            after = place + 8 + size
            if after > self._end:
                return name in KNOWN or self._is_last_tag(place)
            if not all(32 <= byte < 127 for byte in name):
                return self._is_last_tag(place)
            place = after + size % 2
        return self._end - place <= 2

    def _is_last_tag(self, place: int) -> bool:
        self._file.seek(place)
        return self._end - place == ID3V1 and self._file.read(3) == b"TAG"

    def _without_tag(self, start: int) -> int:
        """The end of the file, or of the samples before a tag of 128 bytes that ends it."""
        place = self._end - ID3V1
        return place if place > start and self._is_last_tag(place) else self._end

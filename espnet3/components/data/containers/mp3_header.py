"""The four bytes at the beginning of each frame of MPEG audio, and the tags of ID3v2 that lie between frames.

Sources: ISO/IEC 11172-3 and 13818-3; https://id3.org. Which frames a file has is told by `mp3_frames`.
"""

from dataclasses import dataclass

_RATES = ((11025, 12000, 8000), (0, 0, 0), (22050, 24000, 16000), (44100, 48000, 32000))
_KBPS_1 = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_KBPS_2 = {
    1: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
MPEG1 = 3
"""The version's two bits; 2 is MPEG 2 and 0 is MPEG 2.5, with half and quarter of the rates."""
MONO = 3
"""The mode's two bits."""
HEADER = 4
"""Bytes."""


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What the four bytes at the beginning of a frame say."""

    word: int

    @classmethod
    def parse(cls, content: bytes, place: int = 0) -> "FrameHeader | None":
        """The header at a place, or None where there is none."""
        word = int.from_bytes(content[place : place + HEADER], "big")
        header = cls(word)
        return header if word >> 21 == 0x7FF and header.size else None

    @property
    def version(self) -> int:
        """Two bits."""
        return self.word >> 19 & 3

    @property
    def layer(self) -> int:
        """1 to 3, or 4 for none."""
        return 4 - (self.word >> 17 & 3)

    @property
    def rate(self) -> int:
        """In Hz; 0 for none."""
        index = self.word >> 10 & 3
        return 0 if index == 3 else _RATES[self.version][index]

    @property
    def channels(self) -> int:
        """1 or 2."""
        return 1 if self.word >> 6 & 3 == MONO else 2

    @property
    def samples(self) -> int:
        """Of each channel, in a frame."""
        if self.layer == 1:
            return 384
        return 1152 if self.layer == 2 or self.version == MPEG1 else 576

    @property
    def side_info(self) -> int:
        """Bytes between the header and the sound of a layer III frame."""
        if self.version == MPEG1:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17

    @property
    def size(self) -> int:
        """Bytes of the frame; 0 where this is no header, or the bit rate is free."""
        if self.layer > 3 or not self.rate or self.word & 3 == 2:
            return 0
        index = self.word >> 12 & 15
        if index in {0, 15}:
            return 0
        kbps = (_KBPS_1 if self.version == MPEG1 else _KBPS_2)[self.layer][index]
        padding = self.word >> 9 & 1
        if self.layer == 1:
            return (12_000 * kbps // self.rate + padding) * 4
        return self.samples // 8 * 1000 * kbps // self.rate + padding

    @property
    def kind(self) -> tuple[int, int, int, int]:
        """What does not change within a recording."""
        return self.version, self.layer, self.rate, self.channels


def id3_size(content: bytes) -> int:
    """Bytes of the ID3v2 tag that content begins with; 0 where it begins with none."""
    if len(content) < 10 or content[:3] != b"ID3" or max(content[6:10]) > 0x7F:
        return 0
    size = content[6] << 21 | content[7] << 14 | content[8] << 7 | content[9]
    return int(10 + size + (10 if content[5] & 0x10 else 0))

"""The sound of MPEG audio, any part of it as in the whole, whatever its tag says.

A frame needs bits of those before it (up to 511 bytes: the bit reservoir) and what two of them leave in the decoder. So
a part is decoded from some frames earlier on, as a file of its own (`splice`): a tag with the right length, silent
frames that stand in for a missing reservoir, and the frames. Where they lie is told by `mp3_frames`.
"""

import os
from collections.abc import Iterator

import numpy as np

from espnet3.components.data.containers.decoder import END, Decoder, Frames
from espnet3.components.data.containers.mp3_frames import DECODER_DELAY, Recording
from espnet3.components.data.containers.mp3_header import MONO, MPEG1, FrameHeader
from espnet3.components.data.containers.splice import Piece, Splice

RESERVOIR = 511
"""Most bytes of sound that a frame takes from earlier ones."""
OVERLAP = 2
"""Frames that leave something in the decoder."""
PERIOD = 8
"""Frames after which the decoder adds up in the same order again, so that the last bits of the samples are the same."""
CHUNK = 4000
"""Frames decoded at once, some 100 s."""


class Mp3Stream:
    """Samples of a recording.

    Args:
        handle: the open file.
        recording: where its frames lie.
    """

    format = "MP3"
    encoding = "MPEG_LAYER_III"

    def __init__(self, handle: int, recording: Recording) -> None:
        self._handle = handle
        self._recording = recording
        self.rate = recording.header.rate
        self.channels = recording.header.channels
        self.frames = recording.samples

    def read(self, start: int, count: int) -> Frames:
        """`count` samples of each channel from `start`, (n, channels); fewer where the recording ends before."""
        end = min(self.frames, start + count)
        parts = list(self._chunks(max(0, start), end))
        return np.concatenate(parts) if parts else np.empty((0, self.channels), np.float32)

    def last(self) -> Frames:
        """The last samples; fewer where they cannot be decoded."""
        count = min(END, self.frames)
        return self.read(self.frames - count, count)

    def close(self) -> None:
        """Nothing stays open between reads."""

    def _chunks(self, start: int, end: int) -> Iterator[Frames]:
        size = self._recording.header.samples
        while start < end:
            first = (start + self._recording.delay) // size
            after = min(end, (first + CHUNK) * size - self._recording.delay)
            yield self._decode(start + self._recording.delay, after + self._recording.delay)
            start = after

    def _decode(self, start: int, end: int) -> Frames:
        """Samples from `start` to before `end`, counted from the first frame."""
        header = self._recording.header
        last = -(-end // header.samples)
        first = self._first_needed(start // header.samples)
        lead, skipped = ([], 0) if header.layer < 3 else (_stand_in(header, last - first), PERIOD * header.samples)
        sound = self._pieces(first, last)
        decoder = Decoder(Splice(self._handle, [*lead, *sound, *(sound if header.layer < 3 else [])]))
        try:
            offset = skipped - (DECODER_DELAY if lead else 0) + start - first * header.samples
            return decoder.read(0, offset + end - start)[offset:]
        finally:
            decoder.close()

    def _first_needed(self, frame: int) -> int:
        """The frame to begin with, so that `frame` comes out as in the whole."""
        first, missing = max(0, frame - OVERLAP), RESERVOIR if self._recording.header.layer == 3 else 0
        while first > 0 and missing > 0:
            first -= 1
            missing -= self._recording.sound_bytes(first)
        return first // PERIOD * PERIOD

    def _pieces(self, first: int, last: int) -> list[Piece]:
        """The frames from `first` to before `last`; those are silenced that need bytes from before `first`."""
        pieces: list[Piece] = []
        reservoir, frame = 0, first
        while self._recording.header.layer == 3 and frame < last and reservoir < RESERVOIR:
            pieces += self._frame(frame, reservoir)
            reservoir += self._recording.sound_bytes(frame)
            frame += 1
        return [*pieces, *self._recording.ranges(frame, last)]

    def _frame(self, frame: int, reservoir: int) -> list[Piece]:
        """A layer III frame, silenced where it needs more bytes of earlier ones than there are."""
        (place,) = self._recording.ranges(frame, frame + 1)
        side_info = 4 if self._recording.header.word & 1 << 16 else 6
        content = os.pread(self._handle, side_info + 2, place.start)
        begin = int.from_bytes(content[-2:], "big") >> (7 if self._recording.header.version == MPEG1 else 8)
        if begin <= reservoir or len(content) < side_info + 2:
            return [place]
        kept = content[-2:-1] + (content[-1] & 0x80 if self._recording.header.version == MPEG1 else 0).to_bytes()
        silent = content[:-2] + kept.ljust(self._recording.header.side_info, b"\0")
        return [silent, range(place.start + len(silent), place.stop)]


def _stand_in(header: FrameHeader, frames: int) -> list[Piece]:
    """A tag that promises so many frames and more, and silent frames of the greatest size."""
    mode = (MONO if header.channels == 1 else 0) << 6
    word = header.word & 0xFFFE_0C00 | 1 << 16 | 14 << 12 | mode
    silent = FrameHeader(word)
    empty = word.to_bytes(4, "big").ljust(silent.size, b"\0")
    tag = word.to_bytes(4, "big") + bytes(header.side_info) + b"Info\0\0\0\1" + (frames + PERIOD + 2).to_bytes(4, "big")
    return [tag.ljust(silent.size, b"\0"), empty * PERIOD]

"""One stream of sound as libsndfile decodes it, from any sample on, with the values that decoding the whole gives.

`sound` opens one for each recording in a file. soundfile seeks after every read, which costs time, makes noise on
stderr and fails for some encodings; here the file is read forwards, and seeks are made where they are exact.
"""

import os
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.containers.splice import Splice

Frames = NDArray[np.float32]
"""Samples of all channels, (n, channels)."""

LAST_OGG_PAGE = 20
"""Seconds that are more than a page of an Ogg file holds: libsndfile errs by 16 ms when it seeks in the last one."""
OPUS_LEAD = 1
"""Seconds before what is wanted: an Opus decoder that starts anew needs some until its last bits are the same."""
BLOCK = 1 << 16
"""Frames that are read at once where they are thrown away."""
END = 256
"""Frames that are decoded to see that the end is there."""
UNKNOWN = 1 << 60
"""Frames from here on mean that libsndfile does not know the length."""
_CANNOT_SEEK = frozenset({"DWVW_12", "DWVW_16", "DWVW_24", "DWVW_N", "DPCM_8", "DPCM_16"})


class Decoder:
    """Frames of a stream, in their order or from anywhere.

    Args:
        source: an open file, by its number, or a splice of one.

    Raises:
        soundfile.SoundFileError: libsndfile cannot read it.
    """

    def __init__(self, source: int | Splice) -> None:
        self._source = source
        self._open()

    @property
    def rate(self) -> int:
        """In Hz."""
        return int(self._file.samplerate)

    @property
    def channels(self) -> int:
        """How many."""
        return int(self._file.channels)

    @property
    def frames(self) -> int:
        """Samples of each channel, as the header has it."""
        return int(self._file.frames)

    @property
    def format(self) -> str:
        """libsndfile's name of the container, such as FLAC or NIST."""
        return str(self._file.format)

    @property
    def encoding(self) -> str:
        """libsndfile's name of the encoding, such as PCM_16."""
        return str(self._file.subtype)

    @property
    def remarks(self) -> str:
        """What libsndfile noted about the header."""
        return str(self._file.extra_info)

    def read(self, start: int, count: int) -> Frames:
        """`count` frames from `start`, (n, channels); fewer where the stream ends before."""
        self._go_to(start)
        found: Frames = self._file.read(max(0, count), dtype="float32", always_2d=True)
        self._place += len(found)
        if isinstance(self._source, Splice) and self._source.error:
            raise self._source.error
        return found

    def last(self) -> Frames:
        """The last frames, for a look at them: fewer where they cannot be decoded, and near enough in an Ogg file."""
        count = min(END, self.frames)
        if self.format == "OGG":  # exact seeks go far back
            self._place = self.frames - count
            self._file.seek(self._place)
        return self.read(self.frames - count, count)

    def close(self) -> None:
        """Let go of the stream; the file beneath it stays open."""
        self._file.close()

    def _go_to(self, start: int) -> None:
        if start == self._place:
            return
        landing = self._landing(start)
        if landing is None:
            if start < self._place:
                self._file.close()
                self._open()
        else:
            self._file.seek(landing)
            self._place = landing
        while self._place < start and len(self.read(self._place, min(BLOCK, start - self._place))):
            pass

    def _landing(self, start: int) -> int | None:
        """Where to seek so as to read exactly from `start`; None where there can be no seeking."""
        if not self._file.can_seek or self.encoding in _CANNOT_SEEK:
            return None
        if self.format != "OGG":
            return start
        lead = OPUS_LEAD * self.rate if self.encoding == "OPUS" else 0
        return max(0, min(start - lead, self.frames - LAST_OGG_PAGE * self.rate))

    def _open(self) -> None:
        if isinstance(self._source, Splice):
            self._source.seek(0)
            self._file = _forward_reader()(self._source)
        else:
            os.lseek(self._source, 0, os.SEEK_SET)
            self._file = _forward_reader()(self._source, closefd=False)
        self._place = 0


@lru_cache(maxsize=1)
def _forward_reader() -> Any:
    import soundfile

    class ForwardReader(soundfile.SoundFile):  # type: ignore[misc]
        """A SoundFile that does not seek unless it is told to."""

        @property
        def can_seek(self) -> bool:
            return bool(super().seekable())

        def seekable(self) -> bool:
            return False

    return ForwardReader

"""All the sound of a file, as one stream, whatever its header says.

`espnet3.components.data.audio` opens files with `open_sound`, to tell their length as well as to read from them, so
that both speak of the same samples. Where they lie is found by `layouts`.
"""

import os

import numpy as np

from espnet3.components.data.containers.decoder import END, Frames
from espnet3.components.data.containers.layouts import CutShortError, Layout, MixedError, Stream, find_layout

TOLERANCE = 0.01
"""Seconds that may be missing without a word: lengths are rounded."""
LAYOUTS_REMEMBERED = 64
"""Files of which is remembered where their sound lies; that of an hour of MP3 takes 1 MB."""
_remembered: dict[tuple[int, ...], Layout] = {}


class Sound:
    """All the recordings in a file, end to end.

    Raises:
        CutShortError: less is there than the header promises.
        MixedError: the recordings have several rates, or numbers of channels.
        soundfile.SoundFileError: it is none that libsndfile reads.
    """

    def __init__(self, handle: int, layout: Layout) -> None:
        self._streams: list[Stream] = []
        self.remark = layout.remark
        try:
            for opener in layout.openers:
                self._streams.append(opener(handle))
            self._check(layout.promised)
        except BaseException:
            self.close()
            raise
        first = self._streams[0]
        self.rate, self.channels, self.format, self.encoding = first.rate, first.channels, first.format, first.encoding

    @property
    def frames(self) -> int:
        """Samples of each channel."""
        return sum(stream.frames for stream in self._streams)

    def read(self, start: int, count: int) -> Frames:
        """`count` samples of each channel from `start`, (n, channels); fewer where the sound ends before."""
        if len(self._streams) == 1:
            return self._streams[0].read(start, max(0, min(count, self.frames - start)))
        parts, base = [np.empty((0, self.channels), np.float32)], 0
        for stream in self._streams:
            low, high = max(start, base), min(start + count, base + stream.frames)
            if low < high:
                parts.append(stream.read(low - base, high - low))
            base += stream.frames
        return np.concatenate(parts)

    def last(self) -> Frames | None:
        """The last samples of each recording, for a look at them; None where some cannot be decoded."""
        found = [(stream.last(), min(END, stream.frames)) for stream in self._streams]
        is_whole = all(len(samples) == count for samples, count in found)
        return np.concatenate([samples for samples, _ in found]) if is_whole else None

    def close(self) -> None:
        """Let go of the streams; the file beneath them stays open."""
        for stream in self._streams:
            stream.close()

    def _check(self, promised: float | None) -> None:
        rates, channels = ({getattr(stream, name) for stream in self._streams} for name in ("rate", "channels"))
        for values, unit in ((rates, "Hz"), (channels, "channels")):
            if len(values) > 1:
                named = " and ".join(str(value) for value in sorted(values))
                raise MixedError(f"holds recordings of {named} {unit}, one after the other")
        there = self.frames / self._streams[0].rate
        if promised is not None and promised > there + TOLERANCE:
            raise CutShortError(f"its header promises {promised:.3f} s, and {there:.3f} s are there")


def open_sound(handle: int, thoroughly: bool = True) -> Sound:
    """The sound of an open file.

    Args:
        handle: the open file.
        thoroughly: look for sound of which the header says nothing; a FLAC or Ogg file is gone through for that.
            Without, such a file may be longer than it seems.

    Raises:
        ForeignError: it holds a codec that libsndfile does not read.
        As `Sound`.
    """
    status = os.fstat(handle)
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, thoroughly)
    if (layout := _remembered.get(state)) is None:
        while len(_remembered) >= LAYOUTS_REMEMBERED:
            _remembered.pop(next(iter(_remembered)), None)
        layout = _remembered[state] = find_layout(handle, status.st_size, thoroughly)
    return Sound(handle, layout)

"""Where the sound of a file lies: each kind of container is looked at by its own module.

`sound` asks for it. What is none of theirs is read as libsndfile sees it.
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol

from espnet3.components.data.containers import chunks, flac, mp3_frames, ogg, riff
from espnet3.components.data.containers.decoder import END, UNKNOWN, Decoder, Frames
from espnet3.components.data.containers.mp3 import Mp3Stream
from espnet3.components.data.containers.mp3_header import id3_size
from espnet3.components.data.containers.splice import Piece, Splice

_MP3_IN_WAV = frozenset({0x50, 0x55})
_SPHERE = b"NIST"
"""What SPHERE files begin with, of which libsndfile reads all that there is."""
_CHUNK_SIZES = re.compile(r"^\s*(?!RIFF|FORM)\S.*?: (\d+) \(should be (\d+)\)", re.MULTILINE)
_UNKNOWN_SIZE = 0x7FFF_0000
"""Chunk sizes from here on mean that the program that wrote the file did not know its length."""


class CutShortError(Exception):
    """Sound is missing; the message says how much there is, as the end of a sentence about the file."""


class MixedError(Exception):
    """The recordings in a file do not fit together; the message is the end of a sentence about it."""


class ForeignError(Exception):
    """The file holds what libsndfile does not read; the message names it."""


class Stream(Protocol):
    """Sound that can be read from anywhere."""

    @property
    def rate(self) -> int:
        """In Hz."""

    @property
    def channels(self) -> int:
        """How many."""

    @property
    def frames(self) -> int:
        """Samples of each channel."""

    @property
    def format(self) -> str:
        """libsndfile's name of the container."""

    @property
    def encoding(self) -> str:
        """libsndfile's name of the encoding."""

    def read(self, start: int, count: int, /) -> Frames:
        """`count` samples of each channel from `start`; fewer at the end."""

    def last(self) -> Frames:
        """The last `END` samples of each channel, or all; fewer where they cannot be decoded."""

    def close(self) -> None:
        """Let go of it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the sound of a file lies."""

    openers: tuple[Callable[[int], Stream], ...]
    """Each opens a recording of the file whose number it gets; they follow each other."""
    promised: float | None = None
    """Seconds that the header promises, where they are more than there are."""
    remark: str = ""
    """What is odd about the file and worth a line in the log, as the end of a sentence about it."""


def find_layout(handle: int, size: int, thoroughly: bool) -> Layout:
    """Where the sound of an open file of so many bytes lies; `thoroughly` as `open_sound` has it.

    Raises:
        CutShortError: the end is missing.
        ForeignError: it holds a codec that libsndfile does not read.
        soundfile.SoundFileError: it is none that libsndfile reads.
    """
    with os.fdopen(handle, "rb", closefd=False, buffering=1 << 16) as file:
        start, mark = _first_mark(file)
        if mark == flac.MARK:
            return _flac(file, start, size, thoroughly)
        if mark == ogg.MARK:
            return _ogg(file, start, size, thoroughly)
        known = _of_chunks(file, mark, start, size)
        if known is None and mp3_frames.starts_with_frames(file, start, size):
            known = _mp3(file, start, size)
    if known is None and mark == _SPHERE:
        known = _sphere(handle)
    return known or _other(handle, size)


def _of_chunks(file: BinaryIO, mark: bytes, start: int, size: int) -> Layout | None:
    if mark in riff.MARKS:
        return _wav(file, start, size)
    samples = chunks.find_samples(file, size) if mark in chunks.MARKS and start == 0 else None
    return _chunked(file, samples) if samples else None


def _first_mark(file: BinaryIO) -> tuple[int, bytes]:
    """Where the sound's own header starts, behind ID3 tags, and its first four bytes."""
    start = 0
    while True:
        file.seek(start)
        head = file.read(10)
        if not (tag := id3_size(head)):
            return start, head[:4]
        start += tag


def _spliced(pieces: Sequence[Piece], handle: int) -> Stream:
    return Decoder(Splice(handle, pieces))


def _wav(file: BinaryIO, start: int, size: int) -> Layout:
    found = riff.find_recordings(file, start, size)
    if not found or (len(found) == 1 and found[0].code in _MP3_IN_WAV):
        return _mp3(file, found[0].start, found[0].end) if found else Layout((Decoder,))
    last = found[-1]
    promised = None
    if last.promised is not None and last.promised > last.end - last.start and last.bytes_per_second:
        promised = sum((each.promised or 0) / (each.bytes_per_second or 1) for each in found)
    is_longer = any(each.promised is not None and each.promised < each.end - each.start for each in found)
    if len(found) == 1 and last.is_plain and start == 0:
        return Layout((Decoder,), promised)
    return Layout(tuple(partial(_spliced, each.pieces()) for each in found), promised, _remark(len(found), is_longer))


def _chunked(file: BinaryIO, found: chunks.Samples) -> Layout:
    opener = Decoder if found.is_plain else partial(_spliced, found.pieces(file))
    if not found.is_cut:
        return Layout((opener,), None, _remark(1, found.is_longer))
    stream = opener(file.fileno())
    seconds = stream.frames / stream.rate * found.stated / max(1, found.end - found.start)
    stream.close()
    return Layout((opener,), seconds)


def _flac(file: BinaryIO, start: int, size: int, thoroughly: bool) -> Layout:
    if not thoroughly and start == 0 and flac.promises_length(file, start):
        return Layout((Decoder,))
    if start == 0 and _is_right_flac(file, size):
        return Layout((Decoder,))
    openers: list[Callable[[int], Stream]] = []
    promised, is_longer = 0.0, False
    found = flac.find_recordings(file, start, size)
    for each in found:
        openers.append(partial(_spliced, each.pieces()))
        promised += max(each.promised, each.actual) / each.rate
        is_longer |= 0 < each.promised < each.actual
    if not found:
        return Layout((Decoder,))
    return Layout(tuple(openers), promised, _remark(len(found), is_longer))


def _is_right_flac(file: BinaryIO, size: int) -> bool:
    """Whether a file is a single recording that ends as its header says; its checksums are left to libFLAC."""
    if not flac.may_be_right(file, size):
        return False
    decoder = Decoder(file.fileno())
    try:
        return len(decoder.last()) == min(END, decoder.frames)
    except RuntimeError:  # soundfile's, where libFLAC finds no whole frame
        return False
    finally:
        decoder.close()


def _ogg(file: BinaryIO, start: int, size: int, thoroughly: bool) -> Layout:
    if not thoroughly and start == 0:
        return Layout((Decoder,))
    found = ogg.find_recordings(file, start, size)
    if foreign := next((each.foreign for each in found if each.foreign), ""):
        raise ForeignError(foreign)
    last = found[-1]
    if last.missing:
        raise CutShortError(f"{last.missing} bytes of its last page are missing")
    remark = _remark(len(found), False)
    if not last.is_finished:
        remark = "has no page that is marked as the last one: its recording was stopped, or a copy of it was"
    if len(found) == 1 and start == 0:
        return Layout((Decoder,), None, remark)
    pieces = [[range(each.start, each.end)] for each in found]
    return Layout(tuple(partial(_spliced, each) for each in pieces), None, remark)


def _mp3(file: BinaryIO, start: int, size: int) -> Layout:
    found = mp3_frames.find_recordings(file, start, size)
    if not found:
        raise CutShortError("it has no whole frame")
    promised = None
    if found[-1].is_cut:
        promised = sum(
            max(each.frames, each.promised_frames) * each.header.samples / each.header.rate for each in found
        )
    is_longer = any(0 < each.promised_frames < each.frames for each in found)
    openers = tuple(partial(_mp3_stream, each) for each in found)
    return Layout(openers, promised, _remark(len(found), is_longer))


def _mp3_stream(recording: mp3_frames.Recording, handle: int) -> Stream:
    return Mp3Stream(handle, recording)


def _other(handle: int, size: int) -> Layout:
    """The layout of what libsndfile knows best, with the sizes that it passes over."""
    with os.fdopen(handle, "rb", closefd=False) as file:
        if mp3_frames.starts_soon(file, size):
            return _mp3(file, 0, size)
    decoder = Decoder(handle)
    try:
        promised = 0
        if decoder.frames >= UNKNOWN:
            raise CutShortError("its length is not known")
        for stated, there in _CHUNK_SIZES.findall(decoder.remarks):
            if int(there) + 1 < int(stated) < _UNKNOWN_SIZE:
                promised = max(promised, decoder.frames * int(stated) // max(1, int(there)))
        return Layout((Decoder,), promised / decoder.rate if promised else None)
    finally:
        decoder.close()


def _sphere(handle: int) -> Layout:
    """The layout of a SPHERE file; libsndfile passes over the number of samples in its header, and reads all."""
    lines = (line.split() for line in os.pread(handle, 1024, 0).split(b"\n"))
    fields = {line[0]: int(line[2]) for line in lines if len(line) == 3 and line[2].isdigit()}
    frames, rate = fields.get(b"sample_count", 0), fields.get(b"sample_rate", 0)
    return Layout((Decoder,), frames / rate if rate else None)


def _remark(recordings: int, is_longer: bool) -> str:
    if recordings > 1:
        return f"holds {recordings} recordings, one after the other: they are read as one"
    return "is longer than its header says: all of it is read" if is_longer else ""

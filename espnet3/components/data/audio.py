"""Audio files: what their headers say, whether they are whole, their samples, their checksums.

Datasets read utterances with `read_audio`, dataset builders describe files with `whole_file`, and the validator looks
at headers with `audio_info`. Formats are those of libsndfile: WAV, FLAC, OGG, MP3, NIST SPHERE and more, at any rate,
with any number of channels. soundfile (a quarter of a second) and soxr are imported when they are first needed.
Features and augmentation are elsewhere.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.audio_check import AudioCheck, checksum_of
from espnet3.components.data.manifest import Utterance
from espnet3.errors import DataError

Samples = NDArray[np.float32]

TOLERANCE = 0.01
"""Seconds by which an utterance may reach over the end of its file: durations are rounded."""

LAST_OGG_PAGE = 20
"""Seconds that are more than a page of an OGG file holds."""

UNKNOWN_SIZE = 0x7FFF0000
"""Chunk sizes from here on mean that the program that wrote the file to a pipe did not know its length."""

_CHUNK_SIZES = re.compile(r"^\s*(?!RIFF|FORM)\S.*?: (\d+) \(should be (\d+)\)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What an audio file's header says, once it was seen to hold what it promises."""

    sample_rate: int
    """In Hz."""
    channels: int
    frames: int
    """Samples of each channel."""
    format: str
    """libsndfile's name, such as FLAC or NIST."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.sample_rate


def audio_info(path: Path) -> AudioInfo:
    """The header of an audio file, of which the last samples were read too: about 0.2 ms.

    Raises:
        DataError: the file is missing, empty, in no known format, unreadable or cut short.
    """
    with _opened(path) as file:
        info = AudioInfo(file.samplerate, file.channels, file.frames, file.format)
        if _promised_frames(path, file) > info.frames or _promises_more(path, file) or not _has_its_end(file):
            raise DataError(f"{path} is cut short: it holds less than its header promises. Copy or download it again.")
    if info.frames <= 0:
        raise DataError(f"{path} holds no samples. Copy or download it again, or leave it out.")
    return info


def read_audio(utterance: Utterance, root: Path, check: AudioCheck | None = None) -> tuple[Samples, int]:
    """The samples of an utterance, float32 in [-1, 1], (n,), and their rate in Hz; channels are averaged.

    Args:
        utterance: which part of which file.
        root: the folder to which a relative path is relative, `Manifest.root`.
        check: that of the manifest (`ManifestDataset.audio_check`); without, any recording will do.

    Raises:
        DataError: the file is missing, unreadable, not the one that the manifest names, has another sample rate than it
            says, ends before the utterance does, or holds values that are no numbers.
    """
    path = root / utterance.audio
    with _opened(path, lambda handle: check.admit(utterance, path, handle) if check else None) as file:
        rate = int(file.samplerate)
        if rate != utterance.sample_rate:
            raise DataError(f"{path} has {rate} Hz, its manifest says {utterance.sample_rate} Hz ({utterance.utt_id}).")
        start, wanted = round(utterance.start * rate), round(utterance.duration * rate)
        if start + wanted > file.frames + TOLERANCE * rate:
            raise DataError(f"{path} ends at {file.frames / rate:.3f} s, before its utterance {utterance.utt_id} does.")
        audio = _read(file, start, min(wanted, file.frames - start))
    if len(audio) + TOLERANCE * rate < wanted:
        raise DataError(f"{path} ends before its utterance {utterance.utt_id} does: the file is damaged or cut short.")
    if not np.isfinite(audio).all():
        raise DataError(f"{path} holds values that are no numbers (NaN or infinite) in utterance {utterance.utt_id}.")
    return audio, rate


def resample(audio: Samples, rate: int, target_rate: int) -> Samples:
    """`audio` (n,) at another rate (Hz), with soxr's high quality: about (n * target_rate / rate,) samples."""
    if rate == target_rate:
        return audio
    import soxr

    return np.asarray(soxr.resample(audio, rate, target_rate, quality="HQ"), dtype=np.float32)


def checksum(path: Path) -> str:
    """`sha256:` and the digest of a file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return checksum_of(file.fileno())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def whole_file(utt_id: str, path: Path, root: Path, text: str, speaker: str) -> Utterance:
    """The utterance that fills the audio file at `path`, which stands in the manifest relative to `root` if it can.

    Raises:
        DataError: the file is missing, empty, unreadable or cut short.
    """
    info = audio_info(path)
    audio = path.relative_to(root) if path.is_relative_to(root) else path.resolve()
    return Utterance(utt_id, audio.as_posix(), 0.0, info.duration, info.sample_rate, text, speaker, checksum(path))


@contextmanager
def _opened(path: Path, admit: Callable[[int], None] | None = None) -> Iterator[Any]:
    """An open `soundfile.SoundFile`; what libsndfile says against it becomes a DataError.

    Args:
        path: the file.
        admit: raises an error where it may not be read; gets the open file, so that what it saw is what is read.
    """
    import soundfile

    try:
        with _handle(path) as handle:
            if not os.fstat(handle).st_size:
                raise DataError(f"{path} is empty. Copy or download it again.")
            if admit:
                admit(handle)
            with soundfile.SoundFile(handle, closefd=False) as file:
                yield file
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} does not exist.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None
    except (soundfile.SoundFileError, TypeError) as error:  # a TypeError where it takes the file for raw samples
        reason = (
            "it is a folder" if path.is_dir() else str(getattr(error, "error_string", "unknown format")).rstrip(".")
        )
        raise DataError(
            f"{path} is not readable audio ({reason}): it is damaged, cut short, or not WAV, FLAC, OGG, MP3 or SPH."
        ) from None


@contextmanager
def _handle(path: Path) -> Iterator[int]:
    """A file, open for reading; a pipe is, too, without waiting for whoever writes to it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError:  # a NUL, or half of a surrogate pair
        raise DataError(f"{str(path)!r} cannot be a path.") from None
    try:
        yield handle
    finally:
        os.close(handle)


def _read(file: Any, start: int, frames: int) -> Samples:
    lead = start - _landing(file, start)
    if start:
        file.seek(start - lead)
    audio: Samples = file.read(lead + frames, dtype="float32", always_2d=True)[lead:]
    return audio[:, 0] if audio.shape[1] == 1 else audio.mean(axis=1, dtype=np.float32)


def _landing(file: Any, start: int) -> int:
    """Where to seek so as to read exactly from `start`: libsndfile errs by 16 ms in the last page of an OGG file."""
    return min(start, max(0, file.frames - LAST_OGG_PAGE * file.samplerate)) if file.format == "OGG" else start


def _has_its_end(file: Any) -> bool:
    last = min(256, file.frames)
    file.seek(file.frames - last)
    return bool(len(file.read(last, dtype="float32")) == last)


def _promised_frames(path: Path, file: Any) -> int:
    """Frames according to a NIST SPHERE header, which libsndfile passes over; else 0."""
    if file.format != "NIST":
        return 0
    with path.open("rb") as raw:
        lines = raw.read(1024).split(b"\n")
    return next((int(line.split()[-1]) for line in lines if line.startswith(b"sample_count ")), 0)


def _promises_more(path: Path, file: Any) -> bool:
    """Whether a chunk reaches over the end of the file, which libsndfile logs, or an OGG stream has no last page."""
    if file.format == "OGG":
        return not _has_last_page(path)
    sizes = ((int(promised), int(there)) for promised, there in _CHUNK_SIZES.findall(file.extra_info))
    return any(there + 1 < promised < UNKNOWN_SIZE for promised, there in sizes)


def _has_last_page(path: Path) -> bool:
    """Whether the last OGG page is whole and marked as the last one.

    A page is 27 bytes, of which the sixth holds the mark and the last counts segments; their lengths; and the segments
    (RFC 3533).
    """
    with path.open("rb") as raw:
        raw.seek(max(0, path.stat().st_size - 70_000))
        tail = raw.read()
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27:
        return False
    lengths = page[27 : 27 + page[26]]
    return bool(page[5] & 4) and len(page) >= 27 + page[26] + sum(lengths)

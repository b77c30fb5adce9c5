"""Audio files: how long they are, their samples, their checksums.

Datasets read utterances with `read_audio`, dataset builders describe files with `whole_file`, and the validator looks
at files with `audio_info`. Formats are those of libsndfile: WAV, FLAC, OGG, MP3, NIST SPHERE and more, at any rate,
with any number of channels. Where in a file the sound lies, and that all of it is read, is up to `containers.sound`.
soundfile (a quarter of a second) and soxr are imported when they are first needed. Features and augmentation are
elsewhere.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.amplitude import scale_problem
from espnet3.components.data.audio_check import AudioCheck, checksum_of
from espnet3.components.data.containers.foreign import HEAD, conversion, explanation
from espnet3.components.data.containers.layouts import CutShortError, ForeignError, MixedError
from espnet3.components.data.containers.sound import TOLERANCE, Sound, open_sound
from espnet3.components.data.manifest import Utterance
from espnet3.errors import DataError

Samples = NDArray[np.float32]
STEP = 2.0**-15
"""Between two values of 16 bits; what stays within one is silence, whatever its level."""
AGAIN = "Copy or download it again."


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """What an audio file holds, all of it, whatever its header says."""

    sample_rate: int
    """In Hz."""
    channels: int
    frames: int
    """Samples of each channel."""
    format: str
    """libsndfile's name, such as FLAC or NIST."""
    encoding: str = ""
    """libsndfile's name, such as PCM_16."""
    remark: str = ""
    """What is odd about the file though it is read, as the end of a sentence about it; empty as a rule."""
    ends_silent: bool = True
    """Whether its last few samples are silence; false says that there is sound."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.frames / self.sample_rate


def audio_info(path: Path) -> AudioInfo:
    """What an audio file holds. FLAC, Ogg and MP3 files are gone through, but only decoded where that is needed.

    Raises:
        DataError: the file is missing, empty, in no known format, unreadable or cut short.
    """
    with opened(path, thoroughly=True) as sound:
        if sound.frames <= 0:
            raise DataError(f"{path} holds no samples. {AGAIN[:-1]}, or leave it out.")
        last, seconds = sound.last(), sound.frames / sound.rate
        if last is None:
            raise DataError(f"{path} is cut short: of {seconds:.3f} s the end cannot be decoded. {AGAIN}")
        ends_silent = bool(np.ptp(last, axis=0).max() <= STEP)
        about = sound.format, sound.encoding, sound.remark, ends_silent
        return AudioInfo(sound.rate, sound.channels, sound.frames, *about)


def read_audio(utterance: Utterance, root: Path, check: AudioCheck | None = None) -> tuple[Samples, int]:
    """The samples of an utterance, float32 in [-1, 1], (n,), and their rate in Hz.

    They are those of its channel, or the mean of all channels where it names none.

    Args:
        utterance: which part of which file.
        root: the folder to which a relative path is relative, `Manifest.root`.
        check: that of the manifest (`ManifestDataset.audio_check`); without, any recording will do.

    Raises:
        DataError: the file is missing, unreadable, not the one that the manifest names, has another sample rate than it
            says, lacks its channel, ends before the utterance does, or holds values that are no numbers.
    """
    path = root / utterance.audio
    admit: Callable[[int], None] | None = (lambda handle: check.admit(utterance, path, handle)) if check else None
    with opened(path, admit) as sound:
        end = round(utterance.start * sound.rate) + round(utterance.duration * sound.rate)
        found = _part(sound, utterance, path) if end <= sound.frames or sound.rate != utterance.sample_rate else None
    if found is None:  # it reaches beyond what the header says
        with opened(path, admit, thoroughly=True) as sound:
            if end > sound.frames + TOLERANCE * sound.rate:
                seconds = sound.frames / sound.rate
                raise DataError(f"{path} ends at {seconds:.3f} s, before its utterance {utterance.utt_id} does.")
            found = _part(sound, utterance, path)
    audio, wanted = found
    if len(audio) + TOLERANCE * utterance.sample_rate < wanted:
        raise DataError(f"{path} ends before its utterance {utterance.utt_id} does: the file is damaged or cut short.")
    if len(audio) and (problem := scale_problem(audio)):
        raise DataError(f"{path} holds {problem} (utterance {utterance.utt_id}).")
    return audio, utterance.sample_rate


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


def mixed(audio: Samples) -> Samples:
    """The mean of all channels: (n, channels) to (n,)."""
    return audio[:, 0] if audio.shape[1] == 1 else audio.mean(axis=1, dtype=np.float32)


def _part(sound: Sound, utterance: Utterance, path: Path) -> tuple[Samples, int]:
    """The samples of an utterance, and how many it asks for."""
    rate = sound.rate
    if rate != utterance.sample_rate:
        raise DataError(f"{path} has {rate} Hz, its manifest says {utterance.sample_rate} Hz ({utterance.utt_id}).")
    start, wanted = round(utterance.start * rate), round(utterance.duration * rate)
    channel = utterance.channel
    if channel is not None and not 0 <= channel < sound.channels:
        raise DataError(
            f"{path} has no channel {channel} ({utterance.utt_id}): it has {channels_named(sound.channels)}."
        )
    audio = sound.read(start, wanted)
    return (mixed(audio) if channel is None else np.ascontiguousarray(audio[:, channel])), wanted


def channels_named(channels: int) -> str:
    """Which channels there are, as part of a sentence."""
    return "one channel, number 0" if channels == 1 else f"{channels} channels, from 0 to {channels - 1}"


@contextmanager
def opened(path: Path, admit: Callable[[int], None] | None = None, thoroughly: bool = False) -> Iterator[Sound]:
    """The sound of a file; what is said against it becomes a DataError.

    Args:
        path: the file.
        admit: raises an error where it may not be read; gets the open file, so that what it saw is what is read.
        thoroughly: as `open_sound` has it.
    """
    import soundfile

    head = b""
    try:
        with _handle(path) as handle:
            if not os.fstat(handle).st_size:
                raise DataError(f"{path} is empty. {AGAIN}")
            if admit:
                admit(handle)
            head = os.pread(handle, HEAD, 0)
            with closing(open_sound(handle, thoroughly)) as sound:
                yield sound
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"{path} does not exist.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is not readable audio: it is a folder.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from None
    except CutShortError as error:
        raise DataError(f"{path} is cut short: {error}. {AGAIN}") from None
    except MixedError as error:
        raise DataError(f"{path} {error}. Convert it to a single recording, or split it.") from None
    except (soundfile.SoundFileError, TypeError, ForeignError) as error:  # TypeError: it is taken for raw samples
        raise DataError(f"{path} {_refusal(error, head, path.name)}") from None


def _refusal(error: Exception, head: bytes, name: str) -> str:
    if isinstance(error, ForeignError):
        return f"is not readable audio: it is {error}. Convert it: {conversion(name)}."
    if known := explanation(head, name):
        return known
    reason = str(getattr(error, "error_string", "unknown format")).rstrip(".")
    return (
        f"is not readable audio ({reason}). WAV, FLAC, OGG, MP3, SPH and whatever else libsndfile knows are read. If "
        f"another program plays it, convert it: {conversion(name)}. If none does, copy or download it again."
    )


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

"""Audio in whatever form a program has it, as samples: for `espnet3.load(...)`.

A form that can be meant in one way only is taken; where there are two, or the values are not those of audio, it is
refused with what to write instead. Files are read as the stages read them.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from espnet3.components.data.amplitude import scale_problem
from espnet3.components.data.audio import Samples, audio_info, mixed, opened, read_audio
from espnet3.components.data.audio_content import OPPOSITE_PHASES, mixing_problem
from espnet3.components.data.containers.decoder import Frames
from espnet3.components.data.manifest import Utterance
from espnet3.errors import DataError

log = logging.getLogger(__name__)

Speech = str | Path | ArrayLike | tuple[ArrayLike, int] | tuple[int, ArrayLike] | dict[str, Any]
"""A file; samples, with a rate beside them, as (samples, rate), or as (rate, samples), which is gradio's and scipy's
order; or what the datasets library has: `{"array": samples, "sampling_rate": rate}`."""

SHORTEST = 100
"""Samples; less is no recording, so that a dimension of less counts channels or recordings."""
ACCEPTED = (
    "Accepted are samples (n,) or (n, channels), as floats from -1 to 1 or as integers of 8, 16 or 32 bits that use "
    "their range"
)
_PAIR = 2


def samples_of(audio: Any, rate: Any, model_rate: int, channel_axis: int | None = None) -> tuple[Samples, int]:
    """Samples (n,), float32 from -1 to 1, and their rate in Hz.

    Args:
        audio: `Speech`.
        rate: of samples that bring none, in Hz; that of the model where it is None.
        model_rate: in Hz.
        channel_axis: which dimension of samples counts channels, where they have two.

    Raises:
        DataError: a file cannot be read, samples are of no kind that is accepted, or the rate is none.
    """
    if isinstance(audio, str | Path):
        return _read(Path(audio))
    samples, found = _apart(audio, rate)
    real_rate = model_rate if found is None else whole_rate(found)
    return _mono(_array(samples), channel_axis, real_rate), real_rate


def whole_rate(rate: Any) -> int:
    """A sample rate in Hz.

    Raises:
        DataError: it is not a whole number, or none above 0.
    """
    try:
        whole = int(rate)
    except (TypeError, ValueError, OverflowError):
        whole = 0
    if whole < 1 or whole != rate:
        raise DataError(f"The rate is {rate!r}; it is a whole number above 0, in Hz, such as 16000.")
    return whole


def _read(path: Path) -> tuple[Samples, int]:
    info = audio_info(path)
    if info.channels > 1:
        with opened(path, thoroughly=True) as sound:
            _check_mixing(sound.read(0, sound.frames), sound.rate, str(path))
    return read_audio(Utterance("audio", path.name, 0.0, info.duration, info.sample_rate, "", "", ""), path.parent)


def _apart(audio: Any, rate: Any) -> tuple[Any, Any]:
    """Samples and rate, in whatever order they come; None where there is no rate."""
    if isinstance(audio, dict):
        if not {"array", "sampling_rate"} <= audio.keys():
            raise DataError(f"Audio is a dictionary without array and sampling_rate. {ACCEPTED}.")
        samples, found = audio["array"], audio["sampling_rate"]
    elif isinstance(audio, tuple) and len(audio) == _PAIR and _is_scalar(audio[1]):
        samples, found = audio
    elif isinstance(audio, tuple) and len(audio) == _PAIR and _is_scalar(audio[0]):
        found, samples = audio
    elif _is_scalar(audio) and rate is not None and not _is_scalar(rate):
        return rate, whole_rate(audio)
    else:
        return audio, rate
    if rate is not None and rate != found:
        raise DataError(f"The audio brings the rate {found!r}, and the rate {rate!r} is given beside it. Give one.")
    return samples, whole_rate(found)


def _is_scalar(value: Any) -> bool:
    return value is None or np.isscalar(value) or getattr(value, "ndim", None) == 0


def _array(samples: Any) -> NDArray[Any]:
    try:
        return np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{type(samples).__name__} is no array of samples: {error}. {ACCEPTED}; give several recordings as a list."
        ) from None


def _mono(samples: NDArray[Any], channel_axis: int | None, rate: int) -> Samples:
    """The mean of the channels."""
    if samples.ndim == 0:
        raise DataError(
            f"Audio is a single value ({samples.item()!r}), of shape () and {samples.dtype}. {ACCEPTED}; a list is "
            "taken for a list of recordings, so make an array of samples: numpy.array(samples)."
        )
    if not samples.size or samples.dtype.kind not in "fiu":
        raise DataError(f"Audio has the shape {samples.shape} of {samples.dtype}. {ACCEPTED}.")
    floats = _floats(_frames(samples, channel_axis))
    if floats.shape[1] > 1:
        _check_mixing(floats, rate, "The audio")
    return np.ascontiguousarray(mixed(floats))


def _frames(samples: NDArray[Any], channel_axis: int | None) -> NDArray[Any]:
    """Samples as (n, channels)."""
    shape = samples.shape
    if channel_axis is not None:
        if samples.ndim != 2 or channel_axis not in {0, 1, -1, -2}:
            raise DataError(f"channel_axis is {channel_axis!r}; it is 0 or 1, for samples of two dimensions: {shape}.")
        return samples.T if channel_axis in {0, -2} else samples
    if max(shape) == samples.size:
        return samples.reshape(-1, 1)
    if samples.ndim == 2 and shape[0] >= SHORTEST > shape[1]:
        return samples
    if samples.ndim == 2 and shape[1] >= SHORTEST > shape[0]:
        raise DataError(
            f"Audio has the shape {shape}, which may be {shape[0]} channels or {shape[0]} recordings. Give channels "
            "with channel_axis=0 or as (n, channels), and recordings as a list: list(audio)."
        )
    raise DataError(
        f"Audio has the shape {shape}: which dimension is time cannot be told. {ACCEPTED}; several recordings as a "
        "list; channel_axis says which of two dimensions counts channels."
    )


def _floats(samples: NDArray[Any]) -> Frames:
    """Samples by the range of their type, float32 from -1 to 1."""
    kind, bits = samples.dtype.kind, 8 * samples.dtype.itemsize
    if kind == "f":
        with np.errstate(over="ignore"):
            floats = samples.astype(np.float32)
        if problem := scale_problem(floats):
            raise DataError(f"The audio holds {problem}.")
        return floats
    if (kind, bits) not in {("i", 8), ("i", 16), ("i", 32), ("u", 8)}:
        raise DataError(
            f"Audio is of {samples.dtype}, which has no scale of its own. {ACCEPTED}. If these are 16-bit values, "
            "write audio.astype(numpy.int16)."
        )
    if bits == 32:
        _check_width(samples)
    offset = 128 if kind == "u" else 0
    return ((samples.astype(np.float64) - offset) / 2.0 ** (bits - 1)).astype(np.float32)


def _check_width(samples: NDArray[Any]) -> None:
    """Refuse what has the values of fewer bits in 32: it would be all but silent."""
    peak = max(int(samples.max()), -int(samples.min()))
    for width in (16, 24):
        if peak <= 1 << (width - 1) and (samples & ((1 << (32 - width)) - 1)).any():
            cure = "audio.astype(numpy.int16)" if width == 16 else "audio * 256"
            raise DataError(
                f"Audio is of {samples.dtype}, and its values, up to {peak}, look like {width}-bit samples. If they "
                f"are, write {cure}; {samples.dtype} reaches to {2**31 - 1}."
            )


def _check_mixing(samples: Frames, rate: int, name: str) -> None:
    found = mixing_problem(samples, rate)
    if found == OPPOSITE_PHASES:
        raise DataError(f"{name} {found[0]}. Give the samples of one channel: audio[:, 0].")
    if found:
        log.warning("%s %s. Give the samples of one channel to have it alone.", name, found[0])

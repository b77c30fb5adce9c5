"""Augmentation of training utterances: of the waveform before the features, and of the features after.

The preprocessor calls each of them with an utterance's own random generator, so that an epoch can be repeated exactly;
validation and inference use none. All return new arrays and leave their argument as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.audio import resample
from espnet3.errors import ConfigError, DataError

FloatArray = NDArray[np.float32]

MOST_TIME_MASKS = 20
"""However long the utterance (Park et al. 2020)."""


@dataclass(frozen=True)
class SpeedPerturb:
    """Play the audio faster or slower, which changes pitch and length (Ko et al., Interspeech 2015)."""

    factors: Sequence[float] = (0.9, 1.0, 1.1)
    """One of them is drawn; 1.1 is a tenth faster."""
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_probability(self)
        _check(bool(self.factors) and all(0.1 <= factor <= 10 for factor in self.factors), self, "factors", "0.1 to 10")

    def __call__(self, audio: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Audio (n,) to about (n / factor,)."""
        factor = self.factors[int(rng.integers(len(self.factors)))]
        if not _happens(self, rng) or factor == 1:
            return audio.copy()
        import soxr

        return np.asarray(soxr.resample(audio, factor, 1.0, quality="HQ"), np.float32)


@dataclass(frozen=True)
class Gain:
    """Make the audio louder or softer."""

    low: float = -6.0
    """In dB."""
    high: float = 6.0
    """In dB."""
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_probability(self)
        _check(-100 <= self.low <= self.high <= 100, self, "low, high", "a range from -100 dB to 100 dB")

    def __call__(self, audio: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Audio (n,) to (n,); it may leave [-1, 1], as features do not mind."""
        decibels = rng.uniform(self.low, self.high) if _happens(self, rng) else 0.0
        return audio * np.float32(10 ** (decibels / 20))


@dataclass(frozen=True)
class AddNoise:
    """Add noise at a random signal-to-noise ratio: white, or a random stretch of one of some recordings."""

    low: float = 10.0
    """Least signal-to-noise ratio in dB."""
    high: float = 30.0
    """Greatest signal-to-noise ratio in dB."""
    files: Sequence[str] = ()
    """Recordings to draw from, each at any rate; white noise where there is none. Short ones are repeated."""
    sample_rate: int | None = None
    """Of the audio, in Hz; needed with `files`."""
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_probability(self)
        _check(-100 <= self.low <= self.high <= 100, self, "low, high", "a range from -100 dB to 100 dB")
        rate_known = self.sample_rate is not None and self.sample_rate > 0
        _check(rate_known or not self.files, self, "sample_rate", "the features' rate in Hz, if there are files")
        if missing := [file for file in self.files if not Path(file).is_file()]:
            raise DataError(
                f"AddNoise.files: {len(missing)} of {len(self.files)} do not exist; the first is {missing[0]}."
            )

    def __call__(self, audio: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Audio (n,) to (n,)."""
        if not _happens(self, rng) or not audio.size:
            return audio.copy()
        ratio = rng.uniform(self.low, self.high)
        noise = self._noise(len(audio), rng)
        power = float(np.mean(np.square(noise)))
        if not power:
            return audio.copy()
        scale = np.sqrt(float(np.mean(np.square(audio))) / power / 10 ** (ratio / 10))
        return audio + noise * np.float32(scale)

    def _noise(self, samples: int, rng: np.random.Generator) -> FloatArray:
        if not self.files:
            return rng.standard_normal(samples, np.float32)
        noise = self._stretch(self.files[int(rng.integers(len(self.files)))], samples, rng)
        return np.resize(noise, samples)

    def _stretch(self, path: str, samples: int, rng: np.random.Generator) -> FloatArray:
        """At most about `samples` samples from a random place of a recording, at `sample_rate`."""
        import soundfile

        assert self.sample_rate
        try:
            with soundfile.SoundFile(path) as file:
                wanted = min(file.frames, -(-samples * file.samplerate // self.sample_rate))
                file.seek(int(rng.integers(file.frames - wanted + 1)))
                audio = file.read(wanted, dtype="float32", always_2d=True).mean(axis=1)
                rate = file.samplerate
        except soundfile.SoundFileError as error:
            raise DataError(
                f"The noise recording {path} cannot be read: {error}. Take it off AddNoise.files."
            ) from error
        if not audio.size:
            raise DataError(f"The noise recording {path} is empty. Take it off AddNoise.files.")
        return resample(audio, rate, self.sample_rate)


@dataclass(frozen=True)
class SpecAugment:
    """Mask stretches of time and bands of frequency, and warp time.

    Source: Park et al., "SpecAugment", Interspeech 2019; adaptive masks: Park et al., "SpecAugment on large scale
    datasets", ICASSP 2020. What is masked takes the utterance's mean of its band, which is about zero after the model's
    normalisation.
    """

    frequency_masks: int = 2
    frequency_width: int = 27
    """Most bands in a mask; at most all of them but one."""
    time_masks: int = 2
    """How many; see also `time_masks_per_frame`."""
    time_width: int = 40
    """Most frames in a mask."""
    time_ratio: float = 0.2
    """Most of the utterance in a mask: short utterances get narrower ones."""
    time_masks_per_frame: float = 0.0
    """If positive, long utterances get so many for each frame, up to 20, and at least `time_masks`."""
    time_warp: int = 0
    """Most frames by which a point of the utterance is moved; 0 warps nothing."""
    probability: float = 1.0

    def __post_init__(self) -> None:
        _check_probability(self)
        for name in ("frequency_masks", "frequency_width", "time_masks", "time_width", "time_warp"):
            _check(getattr(self, name) >= 0, self, name, "0 or more")
        for name in ("time_ratio", "time_masks_per_frame"):
            _check(0 <= getattr(self, name) <= 1, self, name, "0 to 1")

    def __call__(self, features: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Features (T, D) to (T, D)."""
        if not _happens(self, rng) or not features.size:
            return features.copy()
        frames, bands = features.shape
        features = self._warp(features, rng)
        masked = np.zeros((frames, bands), bool)
        for start, end in _masks(rng, self.frequency_masks, min(self.frequency_width, bands - 1), bands):
            masked[:, start:end] = True
        adaptive = min(MOST_TIME_MASKS, int(self.time_masks_per_frame * frames))
        width = min(self.time_width, int(self.time_ratio * frames))
        for start, end in _masks(rng, max(self.time_masks, adaptive), width, frames):
            masked[start:end] = True
        return np.where(masked, features.mean(axis=0), features)

    def _warp(self, features: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Move one frame and stretch what is before and after it to fit, with linear interpolation."""
        frames = len(features)
        if not self.time_warp or frames <= 2 * self.time_warp + 1:
            return features
        centre = int(rng.integers(self.time_warp, frames - self.time_warp))
        moved = centre + int(rng.integers(-self.time_warp, self.time_warp + 1))
        moved = min(max(moved, 1), frames - 2)
        places = np.interp(np.arange(frames), [0, moved, frames - 1], [0, centre, frames - 1])
        before = np.minimum(places.astype(np.intp), frames - 2)
        part = (places - before).astype(np.float32)[:, None]
        warped: FloatArray = features[before] * (1 - part) + features[before + 1] * part
        return warped


def _masks(rng: np.random.Generator, count: int, width: int, size: int) -> list[tuple[int, int]]:
    """`count` random ranges of 0 to `width` items, each inside 0 to `size`."""
    widths = rng.integers(width + 1, size=count)
    starts = rng.integers(size - widths + 1)
    return list(zip(starts.tolist(), (starts + widths).tolist(), strict=True))


def _happens(augmentation: Any, rng: np.random.Generator) -> bool:
    return bool(rng.random() < augmentation.probability)


def _check_probability(augmentation: Any) -> None:
    _check(0 <= augmentation.probability <= 1, augmentation, "probability", "0 to 1")


def _check(holds: bool, augmentation: Any, names: str, accepted: str) -> None:
    if not holds:
        given = ", ".join(str(getattr(augmentation, name)) for name in names.split(", "))
        raise ConfigError(f"{type(augmentation).__name__}.{names}: accepted is {accepted}; given: {given}.")

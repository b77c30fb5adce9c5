"""Augmentation that bends the axes of log-mel features: tempo along time, the vocal tract along frequency.

Named in YAML under `feature_augment` and called by the preprocessor, like what stands in `augment`; both interpolate
linearly between frames or bands, which costs less than resampling audio and needs no new features.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from espnet3.errors import ConfigError

FloatArray = NDArray[np.float32]

FEWEST_FRAMES = 8
"""A faster utterance keeps so many frames, or as many as it had."""


@dataclass(frozen=True)
class TempoPerturb:
    """Speak faster or slower at the same pitch: (T, D) to about (T / factor, D)."""

    limit: float = 0.1
    """The factor is drawn from 1 - limit to 1 + limit."""

    def __post_init__(self) -> None:
        _check_limit(self, self.limit)

    def __call__(self, features: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Features (T, D) with another number of frames."""
        frames = len(features)
        factor = 1 + rng.uniform(-self.limit, self.limit)
        wanted = max(min(FEWEST_FRAMES, frames), round(frames / factor))
        return _between(features, np.linspace(0, frames - 1, wanted))


@dataclass(frozen=True)
class VocalTractPerturb:
    """Lengthen or shorten the vocal tract: move energies along the mel axis, the ends staying where they are.

    Source: Jaitly & Hinton, "Vocal tract length perturbation improves speech recognition", ICML workshop 2013, here on
    the mel bands.
    """

    limit: float = 0.1
    """The factor is drawn from 1 - limit to 1 + limit."""
    knee: float = 0.8
    """Share of the bands up to which the factor holds; above, bands move less and less, and the last not at all."""

    def __post_init__(self) -> None:
        _check_limit(self, self.limit)
        if not 0 < self.knee < 1:
            raise ConfigError(f"VocalTractPerturb.knee: accepted is more than 0 and less than 1; given: {self.knee}.")

    def __call__(self, features: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Features (T, D) to (T, D)."""
        bands = features.shape[1]
        factor = 1 + rng.uniform(-self.limit, self.limit)
        knee = self.knee * bands * min(1.0, 1.0 / factor)
        places = np.interp(np.arange(bands), [0, knee, bands - 1], [0, knee * factor, bands - 1])
        return np.ascontiguousarray(_between(features.T, places).T)


def _between(rows: FloatArray, places: NDArray[np.float64]) -> FloatArray:
    """Rows (N, M) read at fractional places (K,), to (K, M)."""
    before = np.clip(places.astype(np.intp), 0, max(0, len(rows) - 2))
    after = np.minimum(before + 1, len(rows) - 1)
    share = (places - before).astype(np.float32)[:, None]
    return np.asarray(rows[before] * (1 - share) + rows[after] * share, np.float32)


def _check_limit(augmentation: object, limit: float) -> None:
    if not 0 <= limit < 1:
        name = type(augmentation).__name__
        raise ConfigError(f"{name}.limit: accepted is 0 or more and less than 1; given: {limit}.")

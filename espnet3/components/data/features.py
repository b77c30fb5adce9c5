"""Audio to log-mel filterbank frames, as Kaldi computes them, without torch.

The preprocessor, collect_stats and the benchmarks call `LogMel`, or other `Features`. Normalisation, augmentation and
reading audio are up to others. Nothing is random here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from espnet3.errors import ConfigError, DataError

FloatArray = NDArray[np.float32]

FRAMES_AT_ONCE = 128
"""So many frames stay in the processor's cache from the first step to the last."""

FILTERS_AT_ONCE = 8
"""Neighbouring filters share most of their bins: so many of them are one product of a small full matrix."""

FLOOR = float(np.finfo(np.float32).eps)
"""Least energy whose logarithm is taken, about that of 16-bit quantisation noise."""


class Features(Protocol):
    """What stands behind `features` of a training config."""

    @property
    def sample_rate(self) -> int:
        """Of the audio, in Hz."""

    @property
    def size(self) -> int:
        """Values per frame."""

    def __call__(self, audio: FloatArray, /) -> FloatArray:
        """One channel of audio (n,) to frames (T, size)."""


@dataclass(frozen=True)
class LogMel:
    """Log-mel filterbank energies; equal to Kaldi's `fbank` without dither and energy, to rounding.

    Source: Kaldi's feature-window.cc and mel-computations.cc (Povey et al., "The Kaldi speech recognition
    toolkit", ASRU 2011).

    Raises:
        ConfigError: an option is out of its range, or a filter is so narrow that it holds no frequency bin.
    """

    sample_rate: int = 16000
    """In Hz; audio must have it."""
    n_mels: int = 80
    frame_length: float = 0.025
    """In seconds."""
    frame_shift: float = 0.010
    """In seconds."""
    low: float = 20.0
    """Lower edge of the first filter in Hz."""
    high: float = 0.0
    """Upper edge of the last filter in Hz; zero and below count from half the sample rate."""
    preemphasis: float = 0.97
    window: Literal["povey", "hann", "hamming"] = "povey"
    remove_dc_offset: bool = True
    snip_edges: bool = True
    """Whether to take only the frames that lie in the audio as a whole. Otherwise frames are centred on multiples of
    the shift, and the audio is mirrored at its ends."""

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.n_mels) < 1 or not 0 < self.frame_shift <= self.frame_length or self.length < 2:
            raise ConfigError(
                f"features: sample_rate ({self.sample_rate}) and n_mels ({self.n_mels}) must be positive, and "
                f"frame_shift ({self.frame_shift} s) positive and at most frame_length ({self.frame_length} s), which "
                "holds at least two samples."
            )
        if not 0 <= self.low < self.upper_edge <= self.sample_rate / 2:
            raise ConfigError(
                f"features: the filters would reach from {self.low} Hz to {self.upper_edge} Hz; accepted is "
                f"0 <= low < high <= {self.sample_rate / 2} Hz, half the sample rate."
            )
        if self.window not in _WINDOWS:
            raise ConfigError(f"features.window: {self.window!r} is unknown; accepted are {', '.join(_WINDOWS)}.")
        if not 0 <= self.preemphasis <= 1:
            raise ConfigError(f"features.preemphasis: {self.preemphasis} is outside the accepted range from 0 to 1.")
        if empty := int((self.filterbank.sum(axis=0) == 0).sum()):
            raise ConfigError(
                f"features.n_mels: {empty} of {self.n_mels} filters hold no frequency bin at {self.sample_rate} Hz "
                f"with frames of {self.frame_length} s. Choose fewer filters or longer frames."
            )

    def __call__(self, audio: FloatArray) -> FloatArray:
        """Turn audio (n,) in [-1, 1] into features (num_frames(n), n_mels).

        Audio that is shorter than a frame is padded with zeros to one frame.

        Raises:
            DataError: the audio is empty or has more than one channel.
        """
        if audio.ndim != 1 or not audio.size:
            raise DataError(
                f"Features need one channel of at least one sample, but the audio has the shape {audio.shape}."
            )
        audio = self._pad(np.ascontiguousarray(audio, np.float32))
        emphasised = audio.copy()
        emphasised[1:] -= np.float32(self.preemphasis) * audio[:-1]
        plain, sharp = (sliding_window_view(x, self.length)[:: self.shift] for x in (audio, emphasised))
        features = np.empty((len(plain), self.n_mels), np.float32)
        for start in range(0, len(plain), FRAMES_AT_ONCE):
            part = slice(start, start + FRAMES_AT_ONCE)
            self._energies(plain[part], sharp[part], features[part])
        return np.log(features, out=features)

    def num_frames(self, samples: int) -> int:
        """How many frames audio of `samples` samples has; at least one."""
        if self.snip_edges:
            return 1 + max(0, samples - self.length) // self.shift
        return max(1, (samples + self.shift // 2) // self.shift)

    @property
    def size(self) -> int:
        """Values per frame."""
        return self.n_mels

    @property
    def length(self) -> int:
        """Samples of a frame."""
        return int(self.sample_rate * self.frame_length + 1e-6)

    @property
    def shift(self) -> int:
        """Samples between the starts of two frames."""
        return max(1, int(self.sample_rate * self.frame_shift + 1e-6))

    @property
    def fft_size(self) -> int:
        """The power of two that holds a frame."""
        return 1 << (self.length - 1).bit_length()

    @property
    def upper_edge(self) -> float:
        """Upper edge of the last filter in Hz."""
        return self.high if self.high > 0 else self.sample_rate / 2 + self.high

    @cached_property
    def window_values(self) -> FloatArray:
        """The window (length,)."""
        values: FloatArray = _WINDOWS[self.window](np.arange(self.length) / (self.length - 1)).astype(np.float32)
        return values

    @cached_property
    def filterbank(self) -> FloatArray:
        """Triangles (fft_size / 2, n_mels), evenly spaced and of equal height on the mel scale; no Nyquist bin."""
        edges = np.linspace(_mel(self.low), _mel(self.upper_edge), self.n_mels + 2)
        bins = _mel(np.arange(self.fft_size // 2) * self.sample_rate / self.fft_size)[:, None]
        rising = (bins - edges[:-2]) / np.diff(edges)[:-1]
        falling = (edges[2:] - bins) / np.diff(edges)[1:]
        return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)

    @cached_property
    def _bands(self) -> list[tuple[slice, slice, FloatArray]]:
        """Groups of neighbouring filters: which they are, the bins that they reach, their weights (filters, bins)."""
        bands = []
        for first in range(0, self.n_mels, FILTERS_AT_ONCE):
            filters = slice(first, first + FILTERS_AT_ONCE)
            reached = np.flatnonzero(self.filterbank[:, filters].any(axis=1))
            bins = slice(int(reached[0]), int(reached[-1]) + 1)
            bands.append((filters, bins, np.ascontiguousarray(self.filterbank[bins, filters].T)))
        return bands

    def _pad(self, audio: FloatArray) -> FloatArray:
        """`audio`, so that its whole frames are those that count."""
        needed = (self.num_frames(len(audio)) - 1) * self.shift + self.length
        if self.snip_edges:
            return audio if len(audio) >= needed else np.pad(audio, (0, needed - len(audio)))
        before = self.length // 2 - self.shift // 2
        return np.pad(audio, (before, max(0, needed - before - len(audio))), mode="symmetric")[:needed]

    def _energies(self, plain: FloatArray, sharp: FloatArray, energies: FloatArray) -> None:
        """Fill `energies` (frames, n_mels) from frames (frames, length) of the audio `plain` and with pre-emphasis."""
        rest = np.float32(1 - self.preemphasis)
        offset = np.einsum("ij->i", plain) * (rest / np.float32(self.length)) * np.float32(self.remove_dc_offset)
        inside = sharp - offset[:, None]
        inside[:, 0] = plain[:, 0] * rest - offset  # a frame knows nothing of the sample before it
        frames = np.zeros((len(plain), self.fft_size))  # in double precision numpy's transform is twice as fast
        np.multiply(inside, self.window_values, out=frames[:, : self.length])
        parts = np.fft.rfft(frames).view(np.float64).astype(np.float32)  # real and imaginary parts by turns
        parts *= parts
        power = np.add(parts[:, :-2:2].T, parts[:, 1:-2:2].T, order="C")
        filtered = np.empty((self.n_mels, len(plain)), np.float32)
        for filters, bins, weights in self._bands:
            # Not @: what BLAS rounds depends on the processor.
            np.einsum("bf,mb->mf", power[bins], weights, out=filtered[filters])
        np.maximum(filtered.T, np.float32(FLOOR), out=energies)


def _mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)


_WINDOWS = {
    "povey": lambda position: (0.5 - 0.5 * np.cos(2 * np.pi * position)) ** 0.85,
    "hann": lambda position: 0.5 - 0.5 * np.cos(2 * np.pi * position),
    "hamming": lambda position: 0.54 - 0.46 * np.cos(2 * np.pi * position),
}

"""SpeechToText: what `espnet3.load` gives: audio in whatever form in, text out.

The recogniser behind it (`espnet3.systems.asr.inference.Recogniser` or `OnnxRecogniser`) sees samples as the infer
stage makes them, so both write the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from espnet3.components.data.audio import read_audio, whole_file
from espnet3.components.data.dataset import Sample
from espnet3.errors import DataError
from espnet3.packs.meta import Meta
from espnet3.systems.asr.decoding.alignment import align
from espnet3.systems.asr.decoding.decoder import Hypothesis

BATCH_SECONDS = 60.0
"""Most seconds of padded audio decoded at once."""
_PAIR = 2

MOST_CHANNELS = 8
"""What a first dimension that counts channels may be."""

Speech = str | Path | ArrayLike | tuple[ArrayLike, int]
"""A file; samples (n,), (n, channels) or (channels, n), with a rate beside them or as (samples, rate)."""


class Backend(Protocol):
    """What decodes."""

    preprocessor: Any

    def decode(self, samples: Sequence[Sample], /) -> list[Hypothesis]:
        """The best hypothesis of each sample."""

    def log_probs(self, samples: Sequence[Sample], /) -> list[NDArray[np.float32]]:
        """The CTC output of each sample, (T', V) log probabilities."""


@dataclass(frozen=True)
class SpokenToken:
    """A token of a transcript, and where it was heard."""

    symbol: str
    start: float
    """Seconds."""
    end: float
    confidence: float
    """The CTC output's probability of it in its frames, from 0 to 1."""


@dataclass(frozen=True)
class Transcript:
    """What was recognised."""

    text: str
    score: float
    """Log probability, with what the decoder adds; comparable for one recording and model only."""
    seconds: float
    """Of the audio."""
    tokens: tuple[SpokenToken, ...] = ()
    """Filled in by `transcribe(..., tokens=True)`."""


class SpeechToText:
    """A packed model: `model("speech.wav")`, `model(array, rate)` or `model([...])`.

    Args:
        meta: what the pack says of itself.
        recogniser: what decodes.
    """

    def __init__(self, meta: Meta, recogniser: Backend) -> None:
        self.meta = meta
        self.recogniser = recogniser

    @property
    def sample_rate(self) -> int:
        """Of the audio that the model takes, in Hz; other audio is resampled."""
        return self.meta.sample_rate

    @overload
    def __call__(self, audio: list[Any], rate: int | None = None) -> list[str]: ...
    @overload
    def __call__(self, audio: Speech, rate: int | None = None) -> str: ...
    def __call__(self, audio: Any, rate: int | None = None) -> str | list[str]:
        """The text of a recording, or those of a list of recordings.

        Args:
            audio: a path; samples (n,) or (n, channels) as floats in [-1, 1] or 16-bit integers; a pair of samples and
                rate; or a list of any of these. Of two dimensions the first counts channels, as torchaudio has it,
                where it is at most 8 and less than the second.
            rate: of samples that bring none, in Hz; that of the model where left out.

        Raises:
            DataError: a file cannot be read, an array is empty or holds what is not a number, or the rate is none.
        """
        if isinstance(audio, list):
            return [transcript.text for transcript in self.transcribe_batch(audio, rate)]
        return self.transcribe(audio, rate).text

    def transcribe(self, audio: Speech, rate: int | None = None, tokens: bool = False) -> Transcript:
        """The text of a recording with its score and, where asked for, its tokens' times and confidences."""
        return self.transcribe_batch([audio], rate, tokens)[0]

    def transcribe_batch(
        self, recordings: Sequence[Speech], rate: int | None = None, tokens: bool = False
    ) -> list[Transcript]:
        """The same for several recordings, in their order."""
        samples = [self._sample(audio, rate) for audio in recordings]
        transcripts: dict[int, Transcript] = {}
        for batch in _batches([_seconds(sample) for sample in samples]):
            chosen = [samples[index] for index in batch]
            hypotheses = self.recogniser.decode(chosen)
            spoken = self._spoken(chosen, hypotheses) if tokens else [()] * len(batch)
            for index, hypothesis, found in zip(batch, hypotheses, spoken, strict=True):
                seconds = _seconds(samples[index])
                transcripts[index] = Transcript(hypothesis.text, hypothesis.score, seconds, found)
        return [transcripts[index] for index in range(len(samples))]

    def _sample(self, audio: Any, rate: int | None) -> Sample:
        if isinstance(audio, str | Path):
            path = Path(audio)
            samples, found = read_audio(whole_file("audio", path, path.parent, "", ""), path.parent)
        else:
            if isinstance(audio, tuple) and len(audio) == _PAIR and np.ndim(audio[1]) == 0:
                audio, rate = audio[0], _whole_rate(audio[1])
            samples, found = _mono(np.asarray(audio)), self.sample_rate if rate is None else _whole_rate(rate)
        return {"utt_id": "audio", "audio": samples, "sample_rate": found, "text": "", "speaker": ""}

    def _spoken(self, samples: Sequence[Sample], hypotheses: Sequence[Hypothesis]) -> list[tuple[SpokenToken, ...]]:
        symbols = self.recogniser.preprocessor.tokenizer.symbols
        found = []
        for sample, hypothesis, log_probs in zip(samples, hypotheses, self.recogniser.log_probs(samples), strict=True):
            step = _seconds(sample) / max(1, len(log_probs))
            found.append(
                tuple(
                    SpokenToken(symbols[token], start * step, end * step, confidence)
                    for token, (start, end, confidence) in zip(
                        hypothesis.tokens, align(log_probs, hypothesis.tokens), strict=True
                    )
                )
            )
        return found


def _mono(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Samples (n,), (n, channels) or (channels, n) as float32 (n,) in [-1, 1].

    Raises:
        DataError: they are empty, of another shape, or hold what is not a number.
    """
    if samples.ndim not in (1, 2) or not samples.size or samples.dtype.kind not in "fiu":
        raise DataError(
            f"Audio is an array of samples (n,), (n, channels) or (channels, n), floats in [-1, 1] or integers; given: "
            f"shape {samples.shape} of {samples.dtype}."
        )
    if samples.dtype.kind in "iu":
        samples = samples / np.float32(np.iinfo(samples.dtype).max)
    if samples.ndim == 2 and samples.shape[0] <= MOST_CHANNELS and samples.shape[0] < samples.shape[1]:
        samples = samples.T
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise DataError("The audio holds values that are no numbers (NaN or infinite).")
    return np.ascontiguousarray(mono, np.float32)


def _whole_rate(rate: Any) -> int:
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


def _seconds(sample: Sample) -> float:
    return len(sample["audio"]) / sample["sample_rate"]


def _batches(durations: Sequence[float]) -> list[list[int]]:
    """Indices of recordings of similar duration, at most BATCH_SECONDS together with padding."""
    batches: list[list[int]] = []
    longest = 0.0
    for index in sorted(range(len(durations)), key=lambda index: -durations[index]):
        if not batches or (len(batches[-1]) + 1) * longest > BATCH_SECONDS:
            batches.append([])
            longest = durations[index]
        batches[-1].append(index)
    return batches

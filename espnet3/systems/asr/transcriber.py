"""SpeechToText: what `espnet3.load` gives: audio in whatever form in, text out.

The recogniser behind it (`espnet3.systems.asr.inference.Recogniser` or `OnnxRecogniser`) sees samples as the infer
stage makes them, so both write the same text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.dataset import Sample
from espnet3.packs.meta import Meta
from espnet3.systems.asr.decoding.alignment import align
from espnet3.systems.asr.decoding.decoder import Hypothesis
from espnet3.systems.asr.speech_input import Speech, samples_of

BATCH_SECONDS = 60.0
"""Most seconds of padded audio decoded at once."""


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
    def __call__(self, audio: list[Any], rate: int | None = None, *, channel_axis: int | None = None) -> list[str]: ...
    @overload
    def __call__(self, audio: Speech, rate: int | None = None, *, channel_axis: int | None = None) -> str: ...
    def __call__(self, audio: Any, rate: Any = None, *, channel_axis: int | None = None) -> str | list[str]:
        """The text of a recording, or those of a list of recordings.

        Args:
            audio: a path; samples (n,) or (n, channels), as floats from -1 to 1 or as integers of 8, 16 or 32 bits that
                use their range; a pair of samples and rate in either order; or a list of any of these. Channels are
                mixed.
            rate: of samples that bring none, in Hz; that of the model where left out.
            channel_axis: which of two dimensions counts channels, where that is not the second one.

        Raises:
            DataError: a file cannot be read; an array is empty, has values that are not those of audio, may be several
                recordings as well as several channels, or has channels that cancel each other; or the rate is none.
        """
        if isinstance(audio, list):
            return [transcript.text for transcript in self.transcribe_batch(audio, rate, channel_axis=channel_axis)]
        return self.transcribe(audio, rate, channel_axis=channel_axis).text

    def transcribe(
        self, audio: Speech, rate: int | None = None, tokens: bool = False, *, channel_axis: int | None = None
    ) -> Transcript:
        """The text of a recording with its score and, where asked for, its tokens' times and confidences."""
        return self.transcribe_batch([audio], rate, tokens, channel_axis=channel_axis)[0]

    def transcribe_batch(
        self,
        recordings: Sequence[Speech],
        rate: int | None = None,
        tokens: bool = False,
        *,
        channel_axis: int | None = None,
    ) -> list[Transcript]:
        """The same for several recordings, in their order."""
        samples = [self._sample(audio, rate, channel_axis) for audio in recordings]
        transcripts: dict[int, Transcript] = {}
        for batch in _batches([_seconds(sample) for sample in samples]):
            chosen = [samples[index] for index in batch]
            hypotheses = self.recogniser.decode(chosen)
            spoken = self._spoken(chosen, hypotheses) if tokens else [()] * len(batch)
            for index, hypothesis, found in zip(batch, hypotheses, spoken, strict=True):
                seconds = _seconds(samples[index])
                transcripts[index] = Transcript(hypothesis.text, hypothesis.score, seconds, found)
        return [transcripts[index] for index in range(len(samples))]

    def _sample(self, audio: Any, rate: int | None, channel_axis: int | None) -> Sample:
        samples, found = samples_of(audio, rate, self.sample_rate, channel_axis)
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

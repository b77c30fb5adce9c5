"""A sample to the arrays that an ASR model takes: resampling, augmentation, features, tokens.

Training hands in a generator for each utterance and epoch; validation and inference hand in none, and nothing is
augmented. Which statistics normalise the features is up to the model.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from espnet3.components.data.audio import resample
from espnet3.components.data.features import Features

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class Tokens(Protocol):
    """Text to ids."""

    def encode(self, text: str, rng: np.random.Generator | None = None) -> list[int]:
        """The ids of a text; with a generator, a tokenizer may sample."""

    def __len__(self) -> int: ...


class SpeechTextPreprocessor:
    """Speech and its transcript as arrays.

    Args:
        features: audio to frames.
        tokenizer: text to the ids that the model is to tell.
        augment: changes to a training waveform, in this order.
        feature_augment: changes to its frames, in this order.
        auxiliary_tokenizer: text to the ids that a lower layer is to tell, such as phones; None for none.
    """

    def __init__(
        self,
        features: Features,
        tokenizer: Tokens,
        augment: Sequence[Augmentation] = (),
        feature_augment: Sequence[Augmentation] = (),
        auxiliary_tokenizer: Tokens | None = None,
    ) -> None:
        self.features = features
        self.tokenizer = tokenizer
        self.augment = augment
        self.feature_augment = feature_augment
        self.auxiliary_tokenizer = auxiliary_tokenizer

    def __call__(self, sample: Mapping[str, Any], rng: np.random.Generator | None) -> dict[str, np.ndarray]:
        """Arrays of a sample: `feats` (T, D) and, where it has a text, `tokens` (L,) and `auxiliary_tokens`."""
        arrays = {"feats": self.frames(sample, rng)}
        if "text" in sample:
            arrays["tokens"] = self.tokens(sample["text"], rng)
            if self.auxiliary_tokenizer is not None:
                arrays["auxiliary_tokens"] = np.asarray(
                    self.auxiliary_tokenizer.encode(sample["text"], rng), dtype=np.int64
                )
        return arrays

    def tokens(self, text: str, rng: np.random.Generator | None = None) -> np.ndarray:
        """Ids (L,) of a text, which the model is to tell; with a generator, a tokenizer may sample."""
        return np.asarray(self.tokenizer.encode(text, rng), dtype=np.int64)

    def frames(self, sample: Mapping[str, Any], rng: np.random.Generator | None) -> np.ndarray:
        """Frames (T, D) of a sample, float32; augmented where there is a generator."""
        audio = sample["audio"]
        if sample["sample_rate"] != self.features.sample_rate:
            audio = resample(audio, sample["sample_rate"], self.features.sample_rate)
        frames = self.features(changed(audio, self.augment, rng))
        return np.ascontiguousarray(changed(frames, self.feature_augment, rng), dtype=np.float32)

    def model_args(self) -> dict[str, int]:
        """The model's arguments that the data decides."""
        sizes = {"input_size": self.features.size, "vocab_size": len(self.tokenizer)}
        if self.auxiliary_tokenizer is not None:
            sizes["auxiliary_size"] = len(self.auxiliary_tokenizer)
        return sizes


def changed(array: np.ndarray, changes: Sequence[Augmentation], rng: np.random.Generator | None) -> np.ndarray:
    """An array after all changes; as it is where there is no generator."""
    if rng is None:
        return array
    for change in changes:
        array = change(array, rng)
    return array

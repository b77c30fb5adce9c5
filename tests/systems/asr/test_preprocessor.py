"""From a sample to a model's arrays: augmentation with a generator alone, resampling, sizes."""

from typing import Any

import numpy as np
import pytest

from espnet3.components.data.features import LogMel
from espnet3.systems.asr.preprocessor import SpeechTextPreprocessor


class Letters:
    def encode(self, text: str, rng: np.random.Generator | None = None) -> list[int]:
        return [ord(letter) - 94 for letter in text]

    def __len__(self) -> int:
        return 29


def make_sample(rate: int = 8000) -> dict[str, Any]:
    audio = np.sin(np.arange(rate) * 0.3).astype(np.float32)
    return {"utt_id": "a", "audio": audio, "sample_rate": rate, "text": "abc", "speaker": "s"}


def twice(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.concatenate([array, array])


def preprocessor(**more: Any) -> SpeechTextPreprocessor:
    return SpeechTextPreprocessor(LogMel(sample_rate=8000, n_mels=20), Letters(), **more)


def test_a_sample_becomes_frames_and_tokens() -> None:
    arrays = preprocessor()(make_sample(), None)
    assert arrays["feats"].shape[1] == 20
    assert arrays["feats"].dtype == np.float32
    assert arrays["tokens"].tolist() == [3, 4, 5]
    assert set(arrays) == {"feats", "tokens"}


def test_nothing_is_augmented_without_a_generator() -> None:
    plain = preprocessor()(make_sample(), None)["feats"]
    both = preprocessor(augment=[twice], feature_augment=[twice])
    assert np.array_equal(both(make_sample(), None)["feats"], plain)
    assert len(both(make_sample(), np.random.default_rng(0))["feats"]) == pytest.approx(4 * len(plain), abs=8)


def test_audio_of_another_rate_is_resampled() -> None:
    frames = preprocessor()(make_sample(16000), None)["feats"]
    assert len(frames) == len(preprocessor()(make_sample(), None)["feats"])


def test_auxiliary_tokens_are_added_where_there_is_a_tokenizer_for_them() -> None:
    made = preprocessor(auxiliary_tokenizer=Letters())
    assert made(make_sample(), None)["auxiliary_tokens"].tolist() == [3, 4, 5]
    assert made.model_args() == {"input_size": 20, "vocab_size": 29, "auxiliary_size": 29}
    assert preprocessor().model_args() == {"input_size": 20, "vocab_size": 29}


def test_a_sample_without_a_text_gives_frames_alone() -> None:
    sample = make_sample()
    del sample["text"]
    assert set(preprocessor()(sample, None)) == {"feats"}

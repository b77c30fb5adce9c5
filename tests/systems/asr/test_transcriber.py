"""Audio in every form, and what is said of it: `model("speech.wav")` and `model.transcribe`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import espnet3
from espnet3.errors import DataError
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.asr.transcriber import SpeechToText


@pytest.fixture
def model(experiment: tuple[Path, ASRSystem]) -> SpeechToText:
    return espnet3.load("exp/pack", backend="torch", device="cpu")


def recording() -> tuple[np.ndarray, int]:
    return soundfile.read("data/a0.wav", dtype="float32")  # type: ignore[no-any-return]


def test_every_form_of_the_same_audio_has_the_same_text(model: SpeechToText) -> None:
    samples, rate = recording()
    expected = model("data/a0.wav")
    assert model(Path("data/a0.wav")) == expected
    assert model(samples, rate) == expected
    assert model((samples, rate)) == expected
    assert model(samples) == expected
    assert model(np.stack([samples, samples], axis=1), rate) == expected
    assert model(samples[np.newaxis], rate) == expected
    assert model(np.stack([samples] * 8), rate, channel_axis=0) == expected
    assert model((rate, samples)) == model({"array": samples, "sampling_rate": rate}) == expected
    assert model(samples[:, np.newaxis], rate) == expected
    same_rates: list[Any] = [float(rate), np.int64(rate)]
    assert [model(samples, each) for each in same_rates] == [expected] * 2
    assert model(np.round(samples * 32767).astype(np.int16), rate) == expected
    assert model([samples, "data/a1.wav", (samples, rate)]) == [expected, model("data/a1.wav"), expected]


def test_another_rate_is_resampled(model: SpeechToText) -> None:
    samples, rate = recording()
    transcript = model.transcribe(np.repeat(samples, 2), 2 * rate)
    assert transcript.seconds == pytest.approx(len(samples) / rate)


def test_tokens_have_times_and_confidences(model: SpeechToText) -> None:
    transcript = model.transcribe("data/a1.wav", tokens=True)
    assert transcript.tokens
    ends = [0.0]
    for token in transcript.tokens:
        assert ends[-1] <= token.start < token.end <= transcript.seconds + 1e-6
        assert 0 < token.confidence <= 1
        ends.append(token.end)
    assert model.transcribe("data/a1.wav").tokens == ()


NO_RATES = (0, -1, -16000, 0.5, 8000.5, float("nan"), float("inf"), None, "fast")
BAD = [
    pytest.param(np.zeros(0, np.float32), "shape", id="empty"),
    pytest.param(np.zeros((2, 2, 2)), "shape", id="three dimensions"),
    pytest.param(np.full(800, np.nan), "no numbers", id="nan"),
    pytest.param(np.array(["a"]), "shape", id="text"),
    pytest.param(np.zeros((1, 0), np.float32), "shape", id="an empty channel"),
    pytest.param("nothing.wav", "does not exist", id="no file"),
    *(pytest.param((np.zeros(800), rate), "The rate is", id=f"rate {rate}") for rate in NO_RATES),
    pytest.param("exp/pack/meta.json", "not readable audio", id="no audio"),
]


@pytest.mark.parametrize(("audio", "message"), BAD)
def test_what_is_no_audio_is_refused(model: SpeechToText, audio: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        model(audio)


@pytest.mark.parametrize("rate", [rate for rate in NO_RATES if rate is not None])
def test_a_rate_that_is_none_is_refused(model: SpeechToText, rate: Any) -> None:
    with pytest.raises(DataError, match="a whole number above 0"):
        model(np.zeros(800), rate)


def test_channels_or_recordings_are_not_guessed(model: SpeechToText) -> None:
    assert model.transcribe(np.zeros((800, 2), np.float32)).seconds == 800 / model.sample_rate
    assert model.transcribe(np.zeros((2, 800), np.float32), channel_axis=0).seconds == 800 / model.sample_rate
    with pytest.raises(DataError, match="may be 2 channels or 2 recordings"):
        model(np.zeros((2, 800), np.float32))
    assert len(model(list(np.zeros((2, 800), np.float32)))) == 2

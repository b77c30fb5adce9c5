"""Log-mel features against Kaldi's own implementation, and at their edges."""

import dataclasses
import hashlib
import os
import pickle
import platform
import subprocess
import sys
from typing import Any

import kaldi_native_fbank
import numpy as np
import pytest

from espnet3.components.data.features import FLOOR, FloatArray, LogMel
from espnet3.errors import ConfigError, DataError


def kaldi(audio: FloatArray, features: LogMel) -> FloatArray:
    options = kaldi_native_fbank.FbankOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.dither = 0.0
    frame.samp_freq = features.sample_rate
    frame.frame_length_ms = 1000 * features.frame_length
    frame.frame_shift_ms = 1000 * features.frame_shift
    frame.preemph_coeff = features.preemphasis
    frame.window_type = {"hann": "hanning"}.get(features.window, features.window)
    frame.remove_dc_offset = features.remove_dc_offset
    frame.snip_edges = features.snip_edges
    mel.num_bins, mel.low_freq, mel.high_freq = features.n_mels, features.low, features.high
    fbank = kaldi_native_fbank.OnlineFbank(options)
    fbank.accept_waveform(features.sample_rate, audio.tolist())
    fbank.input_finished()
    return np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)], dtype=np.float32)


def speechlike(seconds: float, rate: int, seed: int = 0) -> FloatArray:
    """A gliding tone with overtones, noise, silence and an offset."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    partials = np.arange(1, 12)[:, None]
    tone = (np.sin(2 * np.pi * partials * (120 * time + 40 * time**2)) / partials).sum(axis=0)
    envelope = np.maximum(0, np.sin(2 * np.pi * 1.7 * time))
    return np.asarray(0.1 * envelope * tone + 0.003 * rng.standard_normal(len(time)) + 0.02, np.float32)


@pytest.mark.parametrize("n_mels", [40, 80])
@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
def test_features_equal_kaldi_at_every_rate(rate: int, n_mels: int) -> None:
    audio, features = speechlike(0.8, rate), LogMel(sample_rate=rate, n_mels=n_mels)
    np.testing.assert_allclose(features(audio), kaldi(audio, features), rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"window": "hann"}, id="hann"),
        pytest.param({"window": "hamming"}, id="hamming"),
        pytest.param({"preemphasis": 0.0}, id="no pre-emphasis"),
        pytest.param({"remove_dc_offset": False}, id="offset kept"),
        pytest.param({"snip_edges": False}, id="mirrored edges"),
        pytest.param({"low": 64.0, "high": 7000.0}, id="band"),
        pytest.param({"high": -400.0}, id="upper edge from Nyquist"),
        pytest.param({"frame_length": 0.032, "frame_shift": 0.0125}, id="frames"),
    ],
)
def test_every_option_means_what_it_means_in_kaldi(options: dict[str, Any]) -> None:
    audio, features = speechlike(0.7, 16000), LogMel(**options)
    np.testing.assert_allclose(features(audio), kaldi(audio, features), rtol=0, atol=2e-3)


@pytest.mark.parametrize("snip_edges", [True, False], ids=["snipped", "mirrored"])
@pytest.mark.parametrize("samples", [1, 79, 80, 399, 400, 401, 559, 560, 16000])
def test_num_frames_foretells_the_shape(samples: int, snip_edges: bool) -> None:
    features = LogMel(snip_edges=snip_edges)
    assert features(speechlike(1, 16000)[:samples]).shape == (features.num_frames(samples), features.size)


def test_audio_shorter_than_a_frame_is_padded_to_one() -> None:
    audio = speechlike(1, 16000)[:100]
    np.testing.assert_array_equal(LogMel()(audio), LogMel()(np.pad(audio, (0, 300))))


def test_silence_gives_the_floor() -> None:
    np.testing.assert_allclose(LogMel()(np.zeros(800, np.float32)), np.log(FLOOR), rtol=1e-6)


def test_the_audio_is_left_as_it_was_and_any_float_is_taken() -> None:
    audio = speechlike(0.2, 16000)
    before = audio.copy()
    np.testing.assert_array_equal(LogMel()(audio.astype(np.float64)), LogMel()(audio))
    np.testing.assert_array_equal(audio, before)


PINNED = {
    16000: "23f374df437913f1a4da3de8bb918ceab789de1d846c62a9609b8f0fe473720e",
    8000: "46bff487ee6c732f15d82bef3165cb258be1e60fa91b17e11156ad02efec5271",
}
"""sha256 of the features of `pinned_audio` by sample rate, on processors with a fused multiply-add (2013 and later)."""


def pinned_audio() -> FloatArray:
    return (np.random.default_rng(7).integers(-9000, 9000, 24000) / 32768).astype(np.float32)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the pinned bits are those of x86-64")
@pytest.mark.parametrize("rate", PINNED)
def test_features_have_the_same_bits_everywhere(rate: int) -> None:
    features = LogMel(sample_rate=rate, n_mels=rate // 200)(pinned_audio())
    assert features.dtype == np.float32
    assert hashlib.sha256(features.tobytes()).hexdigest() == PINNED[rate]


def test_no_bit_depends_on_which_processor_blas_is_tuned_for() -> None:
    code = (
        "import sys; from tests.components.data.test_features import LogMel, pinned_audio; "
        "sys.stdout.buffer.write(LogMel()(pinned_audio()).tobytes())"
    )
    environment = os.environ | {"OPENBLAS_CORETYPE": "Nehalem"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=environment)
    assert done.stdout == LogMel()(pinned_audio()).tobytes()


def test_features_travel_between_processes() -> None:
    features, audio = LogMel(n_mels=40), speechlike(0.2, 16000)
    features(audio)
    copy = pickle.loads(pickle.dumps(features))
    assert copy == features
    np.testing.assert_array_equal(copy(audio), features(audio))


@pytest.mark.parametrize("shape", [(0,), (400, 2), ()], ids=["empty", "stereo", "scalar"])
def test_audio_of_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="one channel of at least one sample"):
        LogMel()(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"n_mels": 0}, "must be positive", id="no filters"),
        pytest.param({"sample_rate": -8000}, "must be positive", id="negative rate"),
        pytest.param({"frame_shift": 0.0}, "frame_shift", id="no shift"),
        pytest.param({"frame_shift": 0.05}, "at most frame_length", id="gaps between frames"),
        pytest.param({"frame_length": 1e-5, "frame_shift": 1e-5}, "at least two samples", id="frame of no sample"),
        pytest.param({"high": 9000.0}, "half the sample rate", id="above Nyquist"),
        pytest.param({"low": 500.0, "high": 400.0}, "low < high", id="edges swapped"),
        pytest.param({"low": -1.0}, "0 <= low", id="negative edge"),
        pytest.param({"window": "blackmann"}, "accepted are povey, hann, hamming", id="unknown window"),
        pytest.param({"preemphasis": 1.5}, "from 0 to 1", id="pre-emphasis"),
        pytest.param({"n_mels": 400}, "Choose fewer filters", id="empty filters"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LogMel(**options)


def test_options_cannot_be_changed_later() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        LogMel().n_mels = 40  # type: ignore[misc]

"""What a program may hand over as audio: taken where it can be meant in one way, refused with the cure where not."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from espnet3.errors import DataError
from espnet3.systems.asr.speech_input import samples_of

RATE = 8000
SAMPLES = (0.5 * np.sin(np.arange(2000) / 7)).astype(np.float32)
INT16 = np.round(SAMPLES * 32768).astype(np.int16)


def taken(audio: Any, rate: Any = RATE, channel_axis: int | None = None) -> tuple[np.ndarray, int]:
    return samples_of(audio, rate, 16000, channel_axis)


SAME = {
    "floats": SAMPLES,
    "64 bits": SAMPLES.astype(np.float64),
    "16 bits of float": SAMPLES.astype(np.float16),
    "a list": SAMPLES.tolist(),
    "a tensor": torch.from_numpy(SAMPLES),
    "int16": INT16,
    "int32": INT16.astype(np.int32) * 65536,
    "24 bits in int32": np.round(SAMPLES.astype(np.float64) * 2**23).astype(np.int32) * 256,
    "int8": np.round(SAMPLES * 128).astype(np.int8),
    "uint8": (np.round(SAMPLES * 128) + 128).astype(np.uint8),
    "big-endian": INT16.astype(">i2"),
    "a column": SAMPLES[:, None],
    "a row": SAMPLES[None],
    "a batch of one recording of one channel": SAMPLES[None, None],
    "two channels": np.stack([SAMPLES, SAMPLES], axis=1),
    "sixteen channels": np.stack([SAMPLES] * 16, axis=1),
    "two channels of int16": np.stack([INT16, INT16], axis=1),
    "every other of a longer array": np.repeat(SAMPLES, 2)[::2],
}


@pytest.mark.parametrize("audio", SAME.values(), ids=SAME)
def test_the_same_audio_in_every_form(audio: Any) -> None:
    samples, rate = taken(audio)
    assert samples.dtype == np.float32
    assert (samples.ndim, rate, samples.flags.c_contiguous) == (1, RATE, True)
    np.testing.assert_allclose(samples, SAMPLES, atol=1 / 128)


@pytest.mark.parametrize(
    "audio",
    [(SAMPLES, RATE), (RATE, SAMPLES), (np.int64(RATE), SAMPLES), (SAMPLES, float(RATE)), (RATE, INT16)],
    ids=["samples first", "rate first", "NumPy's rate", "a rate of float", "gradio"],
)
def test_a_pair_is_taken_in_either_order(audio: Any) -> None:
    samples, rate = samples_of(audio, None, 16000)
    assert rate == RATE
    np.testing.assert_allclose(samples, SAMPLES, atol=1e-4)


def test_the_order_of_arguments_is_recognised_too() -> None:
    assert samples_of(RATE, SAMPLES, 16000)[1] == RATE
    assert samples_of({"array": SAMPLES, "sampling_rate": RATE, "path": None}, None, 16000)[1] == RATE
    assert samples_of(SAMPLES, None, 16000)[1] == 16000


def test_channels_first_are_taken_when_told() -> None:
    both = np.stack([SAMPLES, 0 * SAMPLES])
    np.testing.assert_allclose(taken(both, channel_axis=0)[0], SAMPLES / 2)
    np.testing.assert_allclose(taken(both.T, channel_axis=1)[0], SAMPLES / 2)
    np.testing.assert_allclose(taken(both.T, channel_axis=-1)[0], SAMPLES / 2)


@pytest.mark.parametrize("peak", [1.0, 1.2, 3.3])
def test_a_small_overshoot_is_taken_as_it_is(peak: float) -> None:
    np.testing.assert_allclose(taken(SAMPLES * 2 * peak)[0], SAMPLES * 2 * peak, rtol=1e-6)


def test_silence_is_taken() -> None:
    for dtype in (np.float32, np.int16, np.int32, np.int8):
        assert not taken(np.zeros(500, dtype))[0].any()
    assert not taken(np.full(500, 128, np.uint8))[0].any()


@given(st.sampled_from([np.int8, np.int16, np.uint8]).flatmap(lambda kind: arrays.arrays(kind, st.integers(1, 300))))
def test_integers_are_scaled_as_files_are(values: np.ndarray) -> None:
    samples, _ = taken(values)
    bits = 8 * values.dtype.itemsize
    offset = 128 if values.dtype == np.uint8 else 0
    np.testing.assert_array_equal(samples, ((values.astype(float) - offset) / 2 ** (bits - 1)).astype(np.float32))
    assert np.abs(samples).max() <= 1


def test_an_array_of_a_file_is_the_file(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", INT16, RATE, subtype="PCM_16")
    from_file, rate = samples_of(tmp_path / "a.wav", None, 16000)
    assert rate == RATE
    for kind in ("int16", "int32", "float32", "float64"):
        array, _ = soundfile.read(tmp_path / "a.wav", dtype=kind)
        np.testing.assert_array_equal(taken(array)[0], from_file)


MANY = np.array([SAMPLES, SAMPLES[:50]], dtype=object)
REFUSED: dict[str, tuple[Any, str]] = {
    "16-bit values as floats": (INT16.astype(np.float32), "look like 16-bit samples stored as floats.*by 32768"),
    "quiet 16-bit values as floats": (np.round(4 * SAMPLES / 0.5), "whole numbers up to 4"),
    "24-bit values as floats": (np.round(SAMPLES * 2.0**23), "look like 24-bit samples.*by 8388608"),
    "scaled 16-bit values": (SAMPLES * 32768 / 3, "values up to .*floats are expected from -1 to 1"),
    "a loud float": (SAMPLES * 40, "values up to 20"),
    "16-bit values in int32": (INT16.astype(np.int32), r"int32.*16-bit.*audio.astype\(numpy.int16\)"),
    "24-bit values in int32": (INT16.astype(np.int32) * 256 + 1, r"24-bit.*audio \* 256"),
    "int64": (INT16.astype(np.int64), r"int64, which has no scale of its own.*astype\(numpy.int16\)"),
    "a list of integers": (INT16.tolist(), "int64"),
    "uint16": (INT16.astype(np.uint16), "uint16"),
    "uint32": (INT16.astype(np.uint32), "uint32"),
    "uint64": (INT16.astype(np.uint64), "uint64"),
    "bool": (SAMPLES > 0, "bool"),
    "complex": (SAMPLES.astype(complex), "complex"),
    "objects": (MANY, "object"),
    "strings": (np.array(["a", "b"]), "<U1"),
    "bytes": (b"RIFF", "single value|S4"),
    "nothing": (np.zeros(0, np.float32), r"shape \(0,\)"),
    "None": (None, "object|single value"),
    "nan": (np.where(np.arange(500) == 7, np.nan, 0.1), "no numbers"),
    "infinite": (np.where(np.arange(500) == 7, -np.inf, 0.1), "no numbers"),
    "too large for float32": (np.full(500, 1e300), "no numbers"),
    "a number": (0.5, "single value.*a list is taken for a list of recordings"),
    "channels or a batch": (np.stack([SAMPLES] * 2), "may be 2 channels or 2 recordings.*channel_axis=0.*list"),
    "16 channels or a batch": (np.stack([SAMPLES] * 16), "may be 16 channels or 16 recordings"),
    "a square": (np.ones((9, 9)), "cannot be told"),
    "a batch of many": (np.stack([SAMPLES] * 200), "cannot be told"),
    "three dimensions": (np.zeros((2, 2, 500)), "cannot be told"),
    "recordings of several lengths": ((SAMPLES, SAMPLES[:50]), "no array of samples.*as a list"),
    "two recordings": ((SAMPLES, SAMPLES), "may be 2 channels or 2 recordings"),
    "opposite phases": (np.stack([SAMPLES, -SAMPLES], axis=1), r"cancel each other.*audio\[:, 0\]"),
    "a tensor with a gradient": (torch.zeros(500, requires_grad=True), "no array of samples"),
    "a tensor of bfloat16": (torch.zeros(500, dtype=torch.bfloat16), "no array of samples"),
    "a dictionary of something else": ({"audio": SAMPLES}, "without array and sampling_rate"),
}


@pytest.mark.parametrize(("audio", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_odd_is_refused_with_the_cure(audio: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        taken(audio, None)


@pytest.mark.parametrize("axis", [2, -3, True + 1])
def test_an_axis_that_is_none_is_refused(axis: int) -> None:
    with pytest.raises(DataError, match="channel_axis is"):
        taken(np.zeros((500, 2)), channel_axis=axis)
    with pytest.raises(DataError, match="channel_axis is 0"):
        taken(SAMPLES, channel_axis=0)


def test_two_rates_that_differ_are_refused() -> None:
    with pytest.raises(DataError, match="brings the rate 8000, and the rate 16000 is given"):
        samples_of((SAMPLES, 8000), 16000, 16000)
    assert samples_of((SAMPLES, 8000), 8000, 16000)[1] == 8000


def test_a_file_whose_channels_cancel_each_other_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.stack([SAMPLES, -SAMPLES], axis=1), RATE)
    with pytest.raises(DataError, match=r"a\.wav has channels that cancel each other"):
        samples_of(tmp_path / "a.wav", None, 16000)

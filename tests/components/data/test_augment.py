"""Augmentations do what their arguments say, follow the generator, and refuse what makes no sense."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from espnet3.components.data.augment import AddNoise, Gain, SpecAugment, SpeedPerturb
from espnet3.errors import ConfigError, DataError

FloatArray = NDArray[np.float32]
RATE = 8000


def tone(seconds: float = 1.0, hertz: float = 440.0) -> FloatArray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def frames(count: int = 200, bands: int = 40) -> FloatArray:
    noise = np.random.default_rng(9).standard_normal((count, bands), np.float32)
    return np.asarray(noise + np.arange(bands), np.float32)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def noise_file(tmp_path: Path) -> str:
    """Half a second of stereo noise at another rate."""
    path = tmp_path / "noise.wav"
    soundfile.write(path, 0.1 * rng(5).standard_normal((5512, 2)), 11025)
    return str(path)


EACH = [
    pytest.param(SpeedPerturb, tone(), id="speed"),
    pytest.param(Gain, tone(), id="gain"),
    pytest.param(AddNoise, tone(), id="noise"),
    pytest.param(lambda **options: SpecAugment(time_warp=5, **options), frames(), id="specaugment"),
]


@pytest.mark.parametrize(("make", "array"), EACH)
def test_it_follows_the_generator_and_leaves_its_argument(make: Callable[..., Any], array: FloatArray) -> None:
    augment, before = make(), array.copy()
    results = [augment(array, rng(seed)) for seed in range(6)]
    for seed, result in enumerate(results):
        np.testing.assert_array_equal(result, augment(array, rng(seed)))
        assert result.dtype == np.float32
    assert len({result.tobytes() for result in results}) > 1
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize(("make", "array"), EACH)
def test_probability_zero_changes_nothing(make: Callable[..., Any], array: FloatArray) -> None:
    for seed in range(5):
        np.testing.assert_array_equal(make(probability=0.0)(array, rng(seed)), array)


@pytest.mark.parametrize(("make", "array"), EACH)
def test_probability_is_how_often(make: Callable[..., Any], array: FloatArray) -> None:
    changed = sum(not np.array_equal(make(probability=0.3)(array, rng(seed)), array) for seed in range(200))
    assert 20 <= changed <= 90


@pytest.mark.parametrize(("make", "array"), EACH)
def test_the_shortest_array_is_taken(make: Callable[..., Any], array: FloatArray) -> None:
    for seed in range(5):
        assert np.isfinite(make()(array[:1], rng(seed))).all()


@pytest.mark.parametrize("factor", [0.9, 1.1, 2.0])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    fast = SpeedPerturb(factors=[factor])(tone(2.0, 400.0), rng())
    assert len(fast) == pytest.approx(2 * RATE / factor, abs=2)
    peak = np.abs(np.fft.rfft(fast)).argmax() * RATE / len(fast)
    assert peak == pytest.approx(400 * factor, rel=0.01)


def test_speed_one_changes_nothing() -> None:
    np.testing.assert_array_equal(SpeedPerturb(factors=[1.0])(tone(), rng()), tone())


def test_each_speed_is_drawn() -> None:
    assert len({len(SpeedPerturb()(tone(), rng(seed))) for seed in range(30)}) == 3


def test_gain_stays_in_its_range() -> None:
    ratios = [Gain(low=-3, high=9)(tone(), rng(seed)).max() / tone().max() for seed in range(200)]
    decibels = 20 * np.log10(ratios)
    assert -3 <= decibels.min() < -2
    assert 8 < decibels.max() <= 9 + 1e-3


@pytest.mark.parametrize("from_file", [False, True], ids=["white", "file"])
def test_noise_has_the_ratio_that_was_asked_for(from_file: bool, noise_file: str) -> None:
    files = [noise_file] if from_file else []
    augment = AddNoise(low=5, high=5, files=files, sample_rate=RATE)
    noise = augment(tone(2.0), rng()) - tone(2.0)
    ratio = 10 * np.log10(np.mean(np.square(tone(2.0))) / np.mean(np.square(noise)))
    assert ratio == pytest.approx(5, abs=0.01)


def test_a_short_recording_is_repeated(noise_file: str) -> None:
    noise = AddNoise(files=[noise_file], sample_rate=RATE)(tone(3.0), rng()) - tone(3.0)
    assert np.abs(noise[-100:]).max() > 0
    assert len(noise) == 3 * RATE


def test_silence_gets_no_noise() -> None:
    np.testing.assert_array_equal(AddNoise()(np.zeros(100, np.float32), rng()), np.zeros(100))


def test_a_damaged_recording_is_named(tmp_path: Path) -> None:
    path = tmp_path / "noise.wav"
    path.write_bytes(b"RIFF, but no more")
    with pytest.raises(DataError, match=r"noise\.wav cannot be read"):
        AddNoise(files=[str(path)], sample_rate=RATE)(tone(), rng())


def test_an_empty_recording_is_named(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "noise.wav", np.zeros(0), RATE)
    with pytest.raises(DataError, match=r"noise\.wav is empty"):
        AddNoise(files=[str(tmp_path / "noise.wav")], sample_rate=RATE)(tone(), rng())


def test_a_missing_recording_is_named() -> None:
    with pytest.raises(DataError, match="1 of 1 do not exist; the first is nowhere"):
        AddNoise(files=["nowhere.wav"], sample_rate=RATE)


def test_masks_are_as_many_and_as_wide_as_asked_for_and_take_the_mean() -> None:
    features = frames()
    for seed in range(50):
        masked = SpecAugment(1, 8, 1, 30, time_ratio=1.0)(features, rng(seed))
        changed = masked != features
        bands, times = changed.all(axis=0), changed.all(axis=1)
        assert bands.sum() <= 8
        assert times.sum() <= 30
        assert (np.diff(np.flatnonzero(bands)) == 1).all()
        assert (np.diff(np.flatnonzero(times)) == 1).all()
        assert not (changed & ~bands & ~times[:, None]).any()
        np.testing.assert_array_equal(masked[changed], np.broadcast_to(features.mean(axis=0), features.shape)[changed])


def test_a_short_utterance_gets_narrow_masks() -> None:
    augment = SpecAugment(frequency_masks=0, time_masks=1, time_width=40, time_ratio=0.1)
    most = max((augment(frames(50), rng(seed)) != frames(50)).any(axis=1).sum() for seed in range(50))
    assert most == 5


def test_a_long_utterance_can_get_more_masks() -> None:
    few = SpecAugment(frequency_masks=0, time_masks=2, time_width=10)
    many = SpecAugment(frequency_masks=0, time_masks=2, time_width=10, time_masks_per_frame=0.04)
    features = frames(1000)

    def masked(augment: SpecAugment) -> float:
        return float(np.mean([(augment(features, rng(seed)) != features).any(axis=1).sum() for seed in range(20)]))

    assert 5 * masked(few) < masked(many) <= 200


def test_warping_moves_frames_and_keeps_the_ends() -> None:
    ramp = np.repeat(np.arange(100, dtype=np.float32)[:, None], 3, axis=1)
    shifts = []
    for seed in range(50):
        warped = SpecAugment(0, 0, 0, 0, time_warp=10)(ramp, rng(seed))
        assert (warped[0], warped[-1]) == (pytest.approx(0), pytest.approx(99))
        assert (np.diff(warped[:, 0]) >= 0).all()
        shifts.append(np.abs(warped - ramp).max())
    assert 5 < max(shifts) <= 10


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: SpeedPerturb(factors=[]), r"SpeedPerturb\.factors: accepted is 0.1 to 10", id="no speed"),
        pytest.param(lambda: SpeedPerturb(factors=[0.0]), r"given: \[0.0\]", id="speed zero"),
        pytest.param(lambda: SpeedPerturb(probability=1.5), r"SpeedPerturb\.probability: .* 1.5", id="probability"),
        pytest.param(lambda: Gain(low=3, high=-3), r"Gain\.low, high: .* given: 3, -3", id="gain swapped"),
        pytest.param(lambda: AddNoise(low=30, high=10), r"AddNoise\.low, high", id="ratio swapped"),
        pytest.param(lambda: AddNoise(files=["a.wav"]), r"AddNoise\.sample_rate", id="rate unknown"),
        pytest.param(lambda: SpecAugment(time_masks=-1), r"SpecAugment\.time_masks: accepted is 0 or", id="masks"),
        pytest.param(lambda: SpecAugment(time_ratio=1.1), r"SpecAugment\.time_ratio: accepted is 0 to 1", id="ratio"),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()

"""Bending the axes of features: how far, what stays in place, what is refused."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from espnet3.components.data.warp import TempoPerturb, VocalTractPerturb
from espnet3.errors import ConfigError


def ramp(rows: int, columns: int, axis: int) -> np.ndarray:
    grid: np.ndarray = np.indices((rows, columns))[axis].astype(np.float32)
    return grid


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_tempo_changes_the_number_of_frames_within_the_limit() -> None:
    lengths = [len(TempoPerturb(0.1)(ramp(200, 3, 0), rng(seed))) for seed in range(200)]
    assert 181 <= min(lengths) < 186
    assert 216 < max(lengths) <= 223


def test_tempo_keeps_first_and_last_frame_and_the_order() -> None:
    for seed in range(20):
        warped = TempoPerturb(0.3)(ramp(100, 3, 0), rng(seed))
        assert warped.dtype == np.float32
        assert warped[0, 0] == 0
        assert warped[-1, 0] == pytest.approx(99, abs=1e-3)
        assert (np.diff(warped[:, 0]) > 0).all()


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_short_utterances_survive(frames: int) -> None:
    for seed in range(20):
        assert len(TempoPerturb(0.5)(ramp(frames, 3, 0), rng(seed))) >= frames
        assert VocalTractPerturb(0.5)(ramp(frames, 3, 1), rng(seed)).shape == (frames, 3)


def test_the_tract_moves_bands_by_the_factor_up_to_the_knee_and_pins_the_ends() -> None:
    for seed in range(50):
        warped = VocalTractPerturb(0.1)(ramp(5, 80, 1), rng(seed))[0]
        factor = warped[40] / 40
        assert 0.9 <= factor <= 1.1
        np.testing.assert_allclose(warped[:58], np.arange(58) * factor, rtol=1e-4)
        assert (warped[0], warped[-1]) == (0, pytest.approx(79, abs=1e-3))
        assert (np.diff(warped) > 0).all()


@pytest.mark.parametrize("make", [TempoPerturb, VocalTractPerturb])
def test_a_limit_of_zero_changes_nothing(make: Callable[[float], Any]) -> None:
    features = rng(1).normal(size=(50, 40)).astype(np.float32)
    np.testing.assert_allclose(make(0.0)(features, rng(0)), features, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda: TempoPerturb(1.0), r"TempoPerturb\.limit: .* given: 1\.0", id="tempo"),
        pytest.param(lambda: VocalTractPerturb(-0.1), r"VocalTractPerturb\.limit: .* given: -0\.1", id="tract"),
        pytest.param(lambda: VocalTractPerturb(knee=1.0), r"VocalTractPerturb\.knee: .* given: 1\.0", id="knee"),
    ],
)
def test_wrong_arguments_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()

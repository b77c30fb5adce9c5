"""Every digits stage, killed and frozen at any point and run again, leaves what an undisturbed one leaves.

A few points of each stage as a test; `make chaos` takes 20 random moments and 20 changes of the file
system, and with CHAOS_POINTS=0 every single one.
"""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.crash_points import Attempt
from tests.chaos.volume import Undisturbed, Volume
from tests.egs3.digits_run import STAGES

pytestmark = pytest.mark.slow

SEED = os.environ.get("CHAOS_SEED", "2026")
MOMENTS = int(os.environ.get("CHAOS_MOMENTS", "2"))
POINTS = int(os.environ.get("CHAOS_POINTS", "3"))
"""0: all of them."""
TRY_AGAIN = 75


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_at_random_moments_leaves_the_same_files(
    undisturbed_stages: Undisturbed, tmp_path: Path, stage: str
) -> None:
    moments = random.Random(f"{SEED} {stage}")
    volume = undisturbed_stages.before(stage).copy(tmp_path / "0")
    for number in range(MOMENTS):
        process = volume.start(stage)
        try:
            process.communicate(timeout=moments.uniform(0, undisturbed_stages.seconds[stage]))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
        if process.returncode == 0:
            assert volume.differs_from(undisturbed_stages.after[stage]) == []
            volume = undisturbed_stages.before(stage).copy(tmp_path / str(number + 1))
    code, said = volume.run(stage)
    assert code == 0, said
    assert volume.differs_from(undisturbed_stages.after[stage]) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_killed_before_any_change_leaves_the_same_files(
    undisturbed_stages: Undisturbed, tmp_path: Path, stage: str
) -> None:
    for point, volume in volumes(undisturbed_stages, stage, tmp_path):
        killed = Attempt(volume, stage, point)
        assert killed.wait() == -signal.SIGKILL, killed.said
        again = Attempt(volume, stage)
        assert again.wait() == 0, again.said
        found = volume.differs_from(undisturbed_stages.after[stage])
        assert found == [], f"killed before change {point}, {killed.changes[-1]}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_frozen_stage_that_wakes_up_after_its_retry_harms_no_byte(
    undisturbed_stages: Undisturbed, tmp_path: Path, stage: str
) -> None:
    for point, volume in volumes(undisturbed_stages, stage, tmp_path):
        frozen = Attempt(volume, stage, point, signal.SIGSTOP)
        assert frozen.wait() is None, frozen.said
        retry = Attempt(volume, stage)
        assert retry.wait() == 0, retry.said
        where = f"frozen before change {point}, {frozen.changes[-1]}"
        assert volume.differs_from(undisturbed_stages.after[stage]) == [], where
        frozen.wake()
        code = frozen.wait()
        assert code in (0, TRY_AGAIN), f"{where}: {frozen.said}"
        assert volume.differs_from(undisturbed_stages.after[stage]) == [], f"{where}, it ended with {code}"


@pytest.mark.parametrize("stage", STAGES)
def test_two_runs_started_at_once_do_no_harm(undisturbed_stages: Undisturbed, tmp_path: Path, stage: str) -> None:
    volume = undisturbed_stages.before(stage).copy(tmp_path / "volume")
    both = [Attempt(volume, stage) for _ in range(2)]
    codes = [attempt.wait() for attempt in both]
    said = "\n".join(attempt.said for attempt in both)
    assert set(codes) <= {0, TRY_AGAIN}, said
    assert 0 in codes, said
    again = Attempt(volume, stage)
    assert again.wait() == 0, again.said
    assert volume.differs_from(undisturbed_stages.after[stage]) == []


def volumes(undisturbed: Undisturbed, stage: str, folder: Path) -> Iterator[tuple[int, Volume]]:
    """The points at which to disturb a stage, with a fresh volume for each."""
    whole = Attempt(undisturbed.before(stage).copy(folder / "whole"), stage)
    assert whole.wait() == 0, whole.said
    every = range(1, len(whole.changes) + 1)
    points = sorted(random.Random(f"{SEED} {stage}").sample(every, min(POINTS, len(every)))) if POINTS else every
    for point in points:
        yield point, undisturbed.before(stage).copy(folder / str(point))

"""A training that is killed or asked to stop, at any moment, ends with the same bytes as one that is left alone."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from espnet3.systems.base.training import train

Config = dict[str, Any]
FILES = ("averaged.safetensors", "metrics.csv")


def contents(exp_dir: Path) -> dict[str, bytes]:
    return {name: (exp_dir / name).read_bytes() for name in FILES}


def wait_for_checkpoint(exp_dir: Path, process: Any) -> None:
    """Wait until the process has written a checkpoint of its own, or is through."""
    last = exp_dir / "checkpoints" / "last.ckpt"
    before = last.stat().st_mtime_ns if last.exists() else 0
    deadline = time.monotonic() + 30
    while process.is_alive() and (not last.exists() or last.stat().st_mtime_ns == before):
        assert time.monotonic() < deadline, "no checkpoint within 30 s"
        time.sleep(0.002)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "asked to stop"])
@pytest.mark.parametrize("group", [1, 3], ids=["each batch a step", "three batches a step"])
def test_an_interrupted_training_ends_with_the_same_bytes(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path, how: int, group: int
) -> None:
    settings = {
        "trainer__max_epochs": 8,
        "trainer__every_n_minutes": 1e-4,
        "trainer__accumulate_grad_batches": group,
        "trainer__ema_decay": 0.9,
        "dataloader__num_workers": 1,
    }
    train(make_config("alone", **settings))
    moments = random.Random(how + group)
    for _ in range(3):
        job = start(make_config("interrupted", **settings))
        wait_for_checkpoint(tmp_path / "interrupted", job.process)
        time.sleep(moments.uniform(0, 0.1))
        os.kill(job.process.pid, how)
        assert job.wait() in (75, -how)
    assert start(make_config("interrupted", **settings)).wait() == 0
    assert contents(tmp_path / "interrupted") == contents(tmp_path / "alone")


def test_a_training_that_is_asked_to_stop_says_how_to_go_on(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path
) -> None:
    job = start(make_config(trainer__max_epochs=500))
    wait_for_checkpoint(tmp_path / "exp", job.process)
    os.kill(job.process.pid, signal.SIGTERM)
    assert job.wait() == 75
    assert "run the stage again to go on" in (tmp_path / "exp" / "error.txt").read_text()

"""A training that is killed or asked to stop, at any moment, ends with the same bytes as one that is left alone."""

import os
import random
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from espnet3.components.training.preemption import preemption
from espnet3.systems.base.training import train
from tests.systems.base.training import slow_validation

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


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=["killed", "asked to stop", "Ctrl-C"]
)
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
        job.ask(how)
        assert job.wait() in (75, -how)
    assert start(make_config("interrupted", **settings)).wait() == 0
    assert contents(tmp_path / "interrupted") == contents(tmp_path / "alone")


asked = pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])


@asked
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("times", [1, 3])
def test_a_training_that_is_asked_to_stop_says_in_a_line_how_to_go_on(
    make_config: Callable[..., Config],
    start: Callable[[Config], Any],
    tmp_path: Path,
    how: int,
    devices: int,
    times: int,
) -> None:
    job = start(make_config(trainer__max_epochs=500, num_device=devices, dataloader__num_workers=1))
    wait_for_checkpoint(tmp_path / "exp", job.process)
    for _ in range(times):
        job.ask(how)
    assert job.wait() == 75
    said = (tmp_path / "exp" / "error.txt").read_text()
    assert re.fullmatch(r"Asked to stop after step \d+; run the stage again to go on from there\.\n", said)
    step = torch.load(tmp_path / "exp" / "checkpoints" / "last.ckpt", weights_only=True)["state"]["step"]
    assert f"after step {step};" in said


def wait_for_file(folder: Path, pattern: str) -> Path:
    deadline = time.monotonic() + 60
    while not (found := list(folder.glob(pattern))):
        assert time.monotonic() < deadline, f"no {pattern} within 60 s"
        time.sleep(0.01)
    return found[0]


@pytest.mark.parametrize(
    ("how", "devices"),
    [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGINT, 2)],
    ids=["SIGTERM", "Ctrl-C", "ranks"],
)
def test_a_training_asked_to_stop_does_not_finish_a_long_validation_first(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path, how: int, devices: int
) -> None:
    changes = {
        "num_device": devices,
        "model___target_": "tests.systems.base.training.slow_validation.SlowValidation",
        "model__marks": str(tmp_path),
        "dataloader__max_batch_size": 1,
        "trainer__max_epochs": 2,
        "trainer__ema_decay": 0.9,
    }
    assert start(make_config("alone", **changes)).wait() == 0
    for mark in tmp_path.glob("validating.*"):
        mark.unlink()

    job = start(make_config("interrupted", **changes))
    wait_for_file(tmp_path, "validating.*")
    asked_at = time.monotonic()
    job.ask(how)

    assert job.wait() == 75
    assert time.monotonic() - asked_at < 4 * slow_validation.SECONDS
    assert not (tmp_path / "interrupted/checkpoints/epoch0001.ckpt").exists()
    assert start(make_config("interrupted", **changes)).wait() == 0
    assert contents(tmp_path / "interrupted") == contents(tmp_path / "alone")


@pytest.mark.parametrize("whom", ["the stage", "one rank", "the group"])
def test_two_ranks_stop_at_the_same_step_and_go_on_to_the_same_bytes(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path, whom: str
) -> None:
    settings = {"num_device": 2, "trainer__max_epochs": 8, "trainer__every_n_minutes": 1e-4}
    assert start(make_config("alone", **settings)).wait() == 0
    moments = random.Random(whom)
    for _ in range(2):
        job = start(make_config("interrupted", **settings))
        wait_for_checkpoint(tmp_path / "interrupted", job.process)
        time.sleep(moments.uniform(0, 0.1))
        ranks = Path(f"/proc/{job.process.pid}/task/{job.process.pid}/children").read_text().split()
        if whom == "the group":
            job.ask(signal.SIGINT)
        else:
            os.kill(job.process.pid if whom == "the stage" else int(ranks[-1]), signal.SIGTERM)
        assert job.wait() == 75
    assert start(make_config("interrupted", **settings)).wait() == 0
    assert contents(tmp_path / "interrupted") == contents(tmp_path / "alone")


def test_a_rank_that_is_killed_asks_for_another_try(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path
) -> None:
    job = start(make_config(num_device=2, trainer__max_epochs=500))
    wait_for_checkpoint(tmp_path / "exp", job.process)
    ranks = Path(f"/proc/{job.process.pid}/task/{job.process.pid}/children").read_text().split()
    os.kill(int(ranks[-1]), signal.SIGKILL)
    assert job.wait() == 75


def test_the_ranks_end_with_a_stage_that_is_killed(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path
) -> None:
    job = start(make_config(num_device=2, trainer__max_epochs=500))
    wait_for_checkpoint(tmp_path / "exp", job.process)
    ranks = Path(f"/proc/{job.process.pid}/task/{job.process.pid}/children").read_text().split()
    os.kill(job.process.pid, signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while any(is_running(int(rank)) for rank in ranks):
        assert time.monotonic() < deadline, "a rank outlived its stage"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_request_that_comes_while_ranks_begin_is_not_lost(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path
) -> None:
    config = make_config(num_device=2, trainer__max_epochs=500)
    moments = random.Random("ranks")
    for _ in range(4):
        job = start(config)
        wait_for_file(tmp_path / "exp", "config.yaml")
        time.sleep(moments.uniform(0, 0.5))
        job.ask(signal.SIGINT)
        assert job.wait() == 75
        assert "Traceback" not in (tmp_path / "exp" / "error.txt").read_text()


def test_a_request_that_no_step_answers_ends_the_work_after_it() -> None:
    handled: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: handled.append(number))
    try:
        with preemption() as watch:
            os.kill(os.getpid(), signal.SIGTERM)
            assert watch.requested
            assert handled == []
        assert handled == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)

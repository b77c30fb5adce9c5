"""A training on a GPU: interrupted, it ends with the same bytes as one that is left alone, in every precision."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch

from espnet3.systems.base.training import train

Config = dict[str, Any]

# Not is_available(), which would ready CUDA in this process, so that the forks of other tests could not use it.
pytestmark = pytest.mark.skipif(torch.cuda.device_count() == 0, reason="needs a GPU")


def begin(config: Config) -> BaseProcess:
    """A training in a process of its own."""
    process = multiprocessing.get_context("spawn").Process(target=train, args=(config,))
    process.start()
    return process


def wait_for(path: Path, process: BaseProcess) -> None:
    while process.is_alive() and not path.exists():
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "asked to stop"])
@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-mixed"])
def test_an_interrupted_training_ends_with_the_same_bytes(
    make_config: Callable[..., Config], tmp_path: Path, how: int, precision: str
) -> None:
    settings = {"trainer__accelerator": "cuda", "trainer__precision": precision, "trainer__max_epochs": 4}
    settings |= {"trainer__every_n_minutes": 1e-4, "trainer__ema_decay": 0.9, "dataloader__num_workers": 1}
    alone, interrupted = begin(make_config("alone", **settings)), begin(make_config("interrupted", **settings))
    wait_for(tmp_path / "interrupted" / "checkpoints" / "last.ckpt", interrupted)
    assert interrupted.pid
    os.kill(interrupted.pid, how)
    interrupted.join()
    assert interrupted.exitcode != 0
    again = begin(make_config("interrupted", **settings))
    for process in (alone, again):
        process.join()
        assert process.exitcode == 0
    for name in ("averaged.safetensors", "metrics.csv"):
        assert (tmp_path / "interrupted" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()

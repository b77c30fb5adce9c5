"""Real ranks on this machine's CPU, for tests of what they do together."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from lightning.fabric import Fabric
from torch.multiprocessing import get_context

from espnet3.components.training.distributed import run_ranks

T = TypeVar("T")


def on_ranks(count: int, work: Callable[[Fabric], T]) -> list[T]:
    """What `work` returns on each of `count` ranks; small enough for a pipe."""
    results: Any = get_context("fork").SimpleQueue()

    def run() -> None:
        torch.set_num_threads(1)
        fabric = Fabric(accelerator="cpu", devices=count, strategy="ddp" if count > 1 else "auto")
        fabric.launch()
        results.put((fabric.global_rank, work(fabric)))

    run_ranks(run, count)
    return [result for _, result in sorted((results.get() for _ in range(count)), key=lambda pair: int(pair[0]))]

"""What a runner runs: how many items, which of them go together, and how a process gets ready for them.

Subclassed by whoever has work to spread (`InferenceProvider` in `systems/base/inference.py`). A provider is pickled
and sent to the processes that work, so it holds settings and paths; data and models come from `build`, in the process
that uses them. Processes, files and repeats are up to the runner.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

Batch = list[int]
"""Indices of items that are worked on together."""

Work = Callable[[Batch], Any]
"""Works on one batch; the result is what JSON can hold."""


class Provider(ABC):
    """Picklable description of some work.

    The batches are the same whatever the number of shards and processes: a shard is a run of whole batches. So
    arithmetic that depends on what is in a batch gives the same bits however the work is spread.
    """

    @abstractmethod
    def __len__(self) -> int:
        """How many items there are."""

    @abstractmethod
    def build(self) -> Work:
        """Load what the work needs; called once in each process that works, so heavy imports belong here."""

    def batches(self) -> list[Batch]:
        """Every item in exactly one batch; each item alone unless overridden. The same at every call."""
        return [[index] for index in range(len(self))]

    def cost(self, batch: Batch) -> float:
        """How long `batch` takes, in any unit: shards get about the same sum."""
        return float(len(batch))

    def name(self, index: int) -> str:
        """What an error calls the item, e.g. its utterance id."""
        return f"item {index}"

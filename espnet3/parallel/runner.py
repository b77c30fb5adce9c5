"""Spread a provider's batches over shards and processes, keep what is finished, and put it together again.

Stages come here through `sharded`, which knows whether this process does the whole of a stage or a part.
Each finished batch is a file in a folder named by the fingerprint of the whole work, written whole or not at all. So a
killed run goes on where it stopped, with any number of shards, and results of two models or configs never meet. What a
batch's result means is up to the provider and the caller.
"""

import json
import logging
from bisect import bisect_left
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any

from espnet3.errors import ConfigError, Espnet3Error, TryAgain
from espnet3.parallel.pool import Report, run_tasks
from espnet3.parallel.provider import Batch, Provider, Work
from espnet3.runtime.files import remove, write_text
from espnet3.runtime.leases import check_lease
from espnet3.runtime.progress import track

log = logging.getLogger(__name__)


@dataclass
class Runner:
    """Runs one provider's work; picklable, so that worker processes get a copy."""

    provider: Provider
    folder: Path
    """Where finished batches are kept until the results are written elsewhere."""
    fingerprint: str
    """Of all that the results depend on."""
    label: str = "batches"
    """What progress is of."""
    workers: int = 1
    """Processes at a time; with one, the work is done in this process."""

    def run_remaining(self, shards: int, within: tuple[int, int] | None = None) -> None:
        """Do all that is not done yet, as `shards` tasks for the processes.

        Args:
            shards: tasks.
            within: (items done before, items in all) of the whole work, where this is a part of it.

        Raises:
            TryAgain: a worker process died.
            Exception: what the work raised, with the name of the item.
        """
        unfinished = {index: numbers for index in range(shards) if (numbers := self.left_of(index, shards))}
        left = sum(map(len, unfinished.values()))
        if left < len(self.batches):
            log.info(
                "%s: %d of %d batches are kept from before.", self.label, len(self.batches) - left, len(self.batches)
            )
        with closing(self._progress(list(unfinished), shards)) as finished:
            for _ in track(finished, left, self.label, within, self.size):
                check_lease(self.folder)

    def run_shard(self, index: int, count: int, report: Report = lambda _: None) -> None:
        """Do what is not done yet of shard `index` (from 0) of `count`, and `report` the number of each batch."""
        for number in self.shard(index, count):
            report(number)

    def shard(self, index: int, count: int) -> Iterator[int]:
        """Do what is not done yet of a shard, yielding the number of each batch."""
        for number in self.left_of(index, count):
            self._finish(number)
            yield number

    def missing(self, count: int) -> list[int]:
        """Which of `count` shards have something left to do."""
        return [index for index in range(count) if self.left_of(index, count)]

    def results(self) -> list[Any]:
        """The results of all batches, in their order, where all are finished.

        Raises:
            TryAgain: a finished batch was damaged since; names it.
        """
        return [self._read(number) for number in range(len(self.batches))]

    @cached_property
    def batches(self) -> list[Batch]:
        """All batches, in the provider's order."""
        return self.provider.batches()

    @cached_property
    def kept(self) -> Path:
        """The folder of this fingerprint inside `folder`; the provider may keep files of its own in it."""
        return kept_folder(self.folder, self.fingerprint)

    def _progress(self, indices: list[int], count: int) -> Generator[int]:
        if self.workers > 1:
            yield from run_tasks(_Shard(self, count), indices, self.workers)
            return
        for index in indices:
            yield from self.shard(index, count)

    def _finish(self, number: int) -> None:
        result = self._result(self.batches[number])
        write_text(self._file(number), json.dumps(result, ensure_ascii=False))

    def _read(self, number: int) -> Any:
        file = self._file(number)
        try:
            return json.loads(file.read_bytes())
        except ValueError as error:
            remove(file)
            raise TryAgain(f"{file} was damaged ({error}) and removed. Run the stage again to do it anew.") from None

    def left_of(self, index: int, count: int) -> list[int]:
        """The batches of a shard that are not done yet."""
        return [number for number in self.range_of(index, count) if not self._file(number).exists()]

    def size(self, number: int) -> int:
        """Items in a batch."""
        return len(self.batches[number])

    def range_of(self, index: int, count: int) -> range:
        """The batches whose middle, measured in cost, lies in the shard's equal part of the whole."""
        if not 0 <= index < count:
            raise ValueError(f"There is no shard {index} of {count}: they are counted from 0.")
        start = bisect_left(self._middles, index / count)
        last = index == count - 1
        return range(start, len(self.batches) if last else bisect_left(self._middles, (index + 1) / count))

    @cached_property
    def _middles(self) -> list[float]:
        costs = [self.provider.cost(batch) for batch in self.batches]
        ends = list(accumulate(costs))
        total = ends[-1] if ends else 0.0
        return [(end - cost / 2) / (total or 1.0) for cost, end in zip(costs, ends, strict=True)]

    def _file(self, number: int) -> Path:
        return self.kept / f"{number:08d}.json"

    @cached_property
    def _work(self) -> Work:
        return self.provider.build()

    def _result(self, batch: Batch) -> Any:
        work = self._work
        try:
            return work(batch)
        except (TryAgain, ConfigError):
            raise
        except Exception as error:
            if len(batch) > 1:
                self._find_culprit(work, batch)
            names = ", ".join(map(self.provider.name, batch))
            raise named(error, names) from error

    def _find_culprit(self, work: Work, batch: Batch) -> None:
        """Work on each item alone, to raise the error of the one that fails, with its name."""
        for index in batch:
            try:
                work([index])
            except Exception as error:
                raise named(error, self.provider.name(index)) from error


@dataclass(frozen=True)
class _Shard:
    """The task of a worker process."""

    runner: Runner
    count: int

    def __call__(self, index: int, report: Report) -> None:
        self.runner.run_shard(index, self.count, report)


def kept_folder(folder: Path, fingerprint: str) -> Path:
    """Where a runner with this fingerprint keeps its finished batches."""
    return folder / fingerprint[:16]


def named(error: Exception, names: str) -> Exception:
    """`error`, saying which items it is about: in its message if it is for the user, else as a note."""
    if isinstance(error, Espnet3Error):
        return error if names in str(error) else type(error)(f"{names}: {error}")
    error.add_note(f"While working on {names}.")
    return error

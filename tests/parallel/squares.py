"""A provider for the runner's tests: squares of numbers, with faults on demand. Also a script to be killed."""

import logging
import os
import signal
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

from espnet3.errors import DataError
from espnet3.parallel.provider import Batch, Provider, Work
from espnet3.parallel.runner import Runner
from espnet3.runtime.leases import LEASE_FILE

log = logging.getLogger("tests.parallel.squares")


@dataclass
class Squares(Provider):
    """Squares of the numbers below `count`, in batches of `size`; writes each number that it worked on into `diary`."""

    diary: Path
    count: int = 10
    size: int = 1
    fault: str = ""
    """`<kind>:<number>`: data, bug, unpicklable, kill, log, overtaken or together (a batch fails whose items pass)."""
    seconds: float = 0.0

    def __len__(self) -> int:
        return self.count

    def batches(self) -> list[Batch]:
        numbers = list(range(self.count))
        return [numbers[start : start + self.size] for start in range(0, self.count, self.size)]

    def cost(self, batch: Batch) -> float:
        return float(sum(batch) + len(batch))

    def name(self, index: int) -> str:
        return f"utt-{index}"

    def build(self) -> Work:
        return self.square

    def square(self, batch: Batch) -> list[int]:
        for number in batch:
            time.sleep(self.seconds)
            self.break_down(number, batch)
            with self.diary.open("a") as diary:
                diary.write(f"{number} {os.getpid()}\n")
        return [number**2 for number in batch]

    def break_down(self, number: int, batch: Batch) -> None:
        kind, _, where = self.fault.partition(":")
        if not kind or number != int(where):
            return
        if kind == "data":
            raise DataError("this one is broken.")
        if kind == "bug":
            raise KeyError("some bug")
        if kind == "unpicklable":
            raise UnpicklableError(lambda: None)
        if kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "log":
            warnings.warn(f"warned of {number}", stacklevel=1)
            try:
                number / 0
            except ZeroDivisionError:
                log.warning("strange: %d", number, exc_info=True)
        if kind == "overtaken":
            (self.diary.parent / LEASE_FILE).write_text("somebody else")
        if kind == "together" and len(batch) > 1:
            raise MemoryError("too much at once")


class UnpicklableError(Exception):
    """Cannot go through a pipe."""


if __name__ == "__main__":
    folder, workers = Path(sys.argv[1]), int(sys.argv[2])
    work = Squares(folder / "diary", count=20, seconds=0.05)
    Runner(work, folder / "kept", "f" * 64, workers=workers).run_remaining(4)

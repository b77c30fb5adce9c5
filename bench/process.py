"""Runs a command and tells what it took: seconds from start to exit, and the most memory that it and children held."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 0.25
"""Seconds between two looks at the memory; each costs the command a few milliseconds."""


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    megabytes: float
    """Most memory that it and its children held together, in MB; pages that they share count once."""


def run_python(arguments: Sequence[str], folder: Path | None = None) -> Cost:
    """Run this Python with `arguments`; what it prints is shown only if it fails."""
    start = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        memory = Memory(process.pid)
        memory.start()
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start
    memory.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with exit code {process.returncode}:\n{output}")
    # The kernel misses no peak of a single process; looking now and then misses none that lasts.
    return Cost(seconds, max(usage.ru_maxrss * 1024, memory.most) / 1e6)


def environment() -> dict[str, str]:
    """This one, but Python may keep bytecode: a user's does, and compiles what it imports no second time."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def median(run: Callable[[], Cost], rounds: int = 3) -> Cost:
    """The run of middle length."""
    return sorted((run() for _ in range(rounds)), key=lambda cost: cost.seconds)[rounds // 2]


class Memory(threading.Thread):
    """Looks at the memory of a process and of its children until it has ended."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.most = 0

    def run(self) -> None:
        """Look now and then."""
        with suppress(psutil.NoSuchProcess):
            while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
                family = [self.process, *self.process.children(recursive=True)]
                self.most = max(self.most, sum(map(held, family)))
                time.sleep(EVERY)


def held(process: psutil.Process) -> int:
    """Bytes that a process holds, with its part of what it shares; none where it has just ended."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return int(process.memory_full_info().pss)
    return 0

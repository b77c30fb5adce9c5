"""Runs a command and tells what it took: seconds from start to exit, and the most memory that it and children held."""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

EVERY = 0.05
"""Seconds between two looks at the memory."""
LOOKS = 5
"""Every so many looks, also at what is shared, which costs the command a few milliseconds."""


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
    seconds = time.monotonic() - start
    memory.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with exit code {process.returncode}:\n{output}")
    return Cost(seconds, memory.most / 1e6)


def environment() -> dict[str, str]:
    """This one, but Python may keep bytecode: a user's does, and compiles what it imports no second time."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def median(run: Callable[[], Cost], rounds: int = 3) -> Cost:
    """The run of middle length."""
    return sorted((run() for _ in range(rounds)), key=lambda cost: cost.seconds)[rounds // 2]


class Memory(threading.Thread):
    """Looks at the memory of a process and of its children until it has ended.

    Not by `ru_maxrss`, in which a process begins with the size of the one that started it.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.most = 0

    def run(self) -> None:
        """Look now and then."""
        look = 0
        with suppress(psutil.NoSuchProcess):
            while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
                family = [self.process, *self.process.children(recursive=True)]
                self.most = max(self.most, *map(peak, family))
                if look % LOOKS == 0:
                    self.most = max(self.most, sum(map(held, family)))
                look += 1
                time.sleep(EVERY)


def peak(process: psutil.Process) -> int:
    """Most bytes that a process held so far; none where it has just ended."""
    with suppress(OSError):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
        if found := re.search(r"VmHWM:\s+(\d+) kB", status):
            return 1024 * int(found[1])
    return 0


def held(process: psutil.Process) -> int:
    """Bytes that a process holds, with its part of what it shares; none where it has just ended."""
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return int(process.memory_full_info().pss)
    return 0

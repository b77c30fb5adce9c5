"""Runs a command and tells what it took: seconds from start to exit, and the most memory that it, or a child, held."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    seconds: float
    megabytes: float
    """Largest resident set of any one process, in MB."""


def run_python(arguments: Sequence[str], folder: Path | None = None) -> Cost:
    """Run this Python with `arguments`; what it prints is shown only if it fails."""
    start = time.monotonic()
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - start
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed with exit code {process.returncode}:\n{output}")
    return Cost(seconds, usage.ru_maxrss * 1024 / 1e6)

"""How long importing a System takes, and whether that loads torch."""

import subprocess
import sys
import time

from bench.figure import Figure
from bench.process import environment

ROUNDS = 5
IMPORT = "import sys, espnet3.systems.asr.system; sys.exit('torch' in sys.modules)"


def measure() -> list[Figure]:
    """Seconds of a fresh Python that imports ASRSystem, less those of one that imports nothing."""
    with_system, without = _median(IMPORT), _median("pass")
    return [Figure("import ASRSystem (loads no torch)", with_system - without, "s", 0.5, "less")]


def _median(code: str) -> float:
    return sorted(_seconds(code) for _ in range(ROUNDS))[ROUNDS // 2]


def _seconds(code: str) -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())
    return time.monotonic() - start

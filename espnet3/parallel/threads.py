"""How many threads the numerical libraries of a process use.

Stages call this before they import anything heavy, with `num_threads` of their config. Several worker processes share
the processors of the machine, so each gets its part.
"""

import os
import sys

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_BEHAVIOUR = {
    # A thread that spins while it waits takes the processor from the one it waits for: ten times slower when busy.
    "OMP_WAIT_POLICY": "PASSIVE",
    # oneDNN keeps a compiled kernel for each of so many shapes; batches of speech seldom repeat one; 1024 cost 1 GB.
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "8",
}


def threads_each(num_threads: int | None, workers: int) -> int:
    """Threads of each of `workers` processes: `num_threads`, or an equal part of the usable processors."""
    return num_threads or max(1, len(os.sched_getaffinity(0)) // workers)


def limit_threads(threads: int) -> None:
    """Let libraries that are loaded from now on use `threads` threads, and torch also if it is loaded already."""
    os.environ.update(dict.fromkeys(_VARIABLES, str(threads)))
    for name, value in _BEHAVIOUR.items():
        os.environ.setdefault(name, value)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(threads)

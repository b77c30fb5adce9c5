"""How the processes that work for another one behave: they ignore SIGTERM, and end when it ends.

Called first thing in the workers of `espnet3.parallel.pool`, of collect_stats' and training's data, and in the ranks of
a training. What they do is up to their callers.
"""

import ctypes
import signal
import sys

PR_SET_PDEATHSIG = 1


def ignore_requests_to_stop() -> None:
    """SIGTERM and SIGINT reach the whole process group; the process that this one works for decides."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def end_with_parent() -> None:
    """Be killed when the parent ends: whoever goes on writing would disturb the one that follows."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

"""How a process takes requests to stop, and how those that work for another one leave them to it and end with it.

SIGTERM and Ctrl-C (SIGINT) mean the same; a terminal's Ctrl-C reaches the whole process group. Every stage is safe
against being killed, so `recipe.cli` and `stages._process` end at once; a training, once it has begun, writes a
checkpoint first. The workers of `parallel.pool` and of training's data ignore requests, as do the ranks of a training
Ctrl-C. Light, because a stage's process imports it before it can be stopped.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

STOPPED = 75
"""Exit code of `espnet3.errors.TryAgain`, which is not imported here so that the first instant is covered too."""
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Handler = Callable[[int, FrameType | None], None]
Hook = Callable[[str], None]
"""Is given the signal's name; what it raises is dropped."""

PR_SET_PDEATHSIG = 1


class StopAtOnce:
    """The signal handler that ends this process, all that it has started, and says so.

    Nothing is raised: libraries would make something else of it, or die of it in the middle of their own loading.

    Args:
        hooks: called before the end.
    """

    def __init__(self, hooks: Sequence[Hook] = ()) -> None:
        self.pid = os.getpid()
        self.hooks = hooks

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signal handler."""
        ignore_requests_to_stop()
        if os.getpid() == self.pid:  # a forked worker has the handler too, and nothing to tell
            for hook in self.hooks:
                with suppress(BaseException):
                    hook(signal.Signals(number).name)
            _end_children()
        os._exit(STOPPED)


def take_requests_to_stop(handler: Handler) -> dict[int, Any]:
    """Let `handler` take SIGTERM and Ctrl-C from now on; returns the handlers until now.

    A Ctrl-C that is ignored stays so: this process is then in the background, or works for another one.
    """
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    numbers = [number for number in STOP_SIGNALS if number != signal.SIGINT or not ignored]
    return {number: signal.signal(number, handler) for number in numbers}


@contextmanager
def requests_to_stop(handler: Handler) -> Iterator[Mapping[int, Any]]:
    """Let `handler` take SIGTERM and Ctrl-C while the block runs; yields the handlers from before, which come back.

    Python lets the main thread alone handle signals; in another one the block runs without.
    """
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    before = take_requests_to_stop(handler)
    try:
        yield before
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def ignore_requests_to_stop() -> None:
    """Another process decides, or it is settled how this one ends."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Hold Ctrl-C back from this thread, and from processes that start in the block until they ignore it themselves."""
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # which multiprocessing starts with the first process: it lets signals through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """Be killed when the parent ends: whoever goes on writing would disturb the one that follows."""
    import ctypes

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_children() -> None:
    """Kill every descendant: a worker must not go on writing when a retry may have started."""
    parents = parents_of_all()
    doomed = {os.getpid()}
    for _ in parents:
        doomed |= {pid for pid, parent in parents.items() if parent in doomed}
    for pid in doomed - {os.getpid()}:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def parents_of_all() -> dict[int, int]:
    """The parent of every process that can be seen."""
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:  # noqa: PTH112, PTH208
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as handle:  # noqa: PTH123
            parents[int(name)] = int(handle.read().rpartition(b")")[2].split()[1])
    return parents

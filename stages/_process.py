"""The process of a stage: asked to stop, it ends at once and says that it can go on; as PID 1, it is a proper init.

`stages/__init__.py` calls `begin` before anything heavy is imported. Every stage is safe against being killed, so the
way to stop is to stop; only training, once it has begun, puts a handler of its own in place, which writes a checkpoint
first (`espnet3.components.training.preemption`). What is left to tell when it stops is given to `on_stop`; once the
exit code is settled, `end` lets the process ignore SIGTERM.
"""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

STOPPED = 75
"""Exit code of `espnet3.errors.TryAgain`, which is not imported here so that the first instant is covered too."""

_shutdown_hooks: list[Callable[[], None]] = []
_pid = 0


def begin() -> None:
    """Take SIGTERM as a request to stop at once; as PID 1, leave the work to a child and reap what dies."""
    global _pid  # noqa: PLW0603
    if os.getpid() == 1:
        _be_init()
    _pid = os.getpid()
    signal.signal(signal.SIGTERM, _stop)
    # New files are writable for the group: the next stage may run as another user of it.
    os.umask(0o002)


def on_stop(hook: Callable[[], None]) -> None:
    """Call `hook` before the process ends because it was asked to; what it raises is dropped."""
    _shutdown_hooks.append(hook)


def end() -> None:
    """Let no more request stop this process: what came of it is settled, and Python's own shutdown would die of one."""
    if _pid == os.getpid():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    if os.getpid() == _pid:  # a forked worker has the handler too, and nothing to tell
        for hook in _shutdown_hooks:
            with suppress(BaseException):
                hook()
        _end_children()
    os._exit(STOPPED)


def _end_children() -> None:
    """Kill every descendant: a worker must not go on writing when a retry may have started."""
    parents = _parents()
    doomed = {os.getpid()}
    for _ in parents:
        doomed |= {pid for pid, parent in parents.items() if parent in doomed}
    for pid in doomed - {os.getpid()}:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _parents() -> dict[int, int]:
    """The parent of every process that can be seen."""
    parents = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else []:  # noqa: PTH112, PTH208
        with suppress(OSError, ValueError, IndexError), open(f"/proc/{name}/stat", "rb") as handle:  # noqa: PTH123
            parents[int(name)] = int(handle.read().rpartition(b")")[2].split()[1])
    return parents


def _be_init() -> None:
    """Return in a child; this process hands signals to it, reaps every orphan, and ends as it ends."""
    child = os.fork()
    if child == 0:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _: os.kill(child, received))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            sys.stderr.flush()
            os._exit(code if code >= 0 else 128 - code)

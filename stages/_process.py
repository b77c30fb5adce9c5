"""The process of a stage: asked to stop, by SIGTERM or Ctrl-C, it ends at once and says that it can go on; as PID 1, it
is a proper init.

`stages/__init__.py` calls `begin` before anything heavy is imported. Every stage is safe against being killed, so the
way to stop is to stop (`espnet3.runtime.processes`); only training, once it has begun, puts a handler of its own in
place, which writes a checkpoint first (`espnet3.components.training.preemption`). What is left to tell when it stops
is given to `on_stop`; once the exit code is settled, `end` lets the process ignore such requests.
"""

import os
import signal
import sys
from collections.abc import Callable

_shutdown_hooks: list[Callable[[str], None]] = []
_begun = 0
"""The process that began."""


def begin() -> None:
    """Take SIGTERM and Ctrl-C as requests to stop at once; as PID 1, leave the work to a child and reap what dies."""
    global _begun  # noqa: PLW0603
    if os.getpid() == 1:
        _be_init()
    # Only here: how a stage runs as a container is read without the library.
    from espnet3.runtime.processes import StopAtOnce, take_requests_to_stop

    _begun = os.getpid()
    take_requests_to_stop(StopAtOnce(_shutdown_hooks))
    # New files are writable for the group: the next stage may run as another user of it.
    os.umask(0o002)


def on_stop(hook: Callable[[str], None]) -> None:
    """Call `hook` with the signal's name before the process ends because of it; what it raises is dropped."""
    _shutdown_hooks.append(hook)


def end() -> None:
    """Let no more request stop this process: what came of it is settled, and Python's own shutdown would die of one."""
    from espnet3.runtime.processes import ignore_requests_to_stop

    if _begun == os.getpid():
        ignore_requests_to_stop()


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

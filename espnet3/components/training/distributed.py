"""Several devices: one process each, forked from this one before it has touched a device.

The processes find each other on this machine; Lightning Fabric's ddp strategy does the rest. An error of any of
them ends them all and is raised here as what it was.
"""

import errno
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any

from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessException, ProcessRaisedException, start_processes

from espnet3 import errors
from espnet3.errors import Espnet3Error, Stopped, TryAgain
from espnet3.runtime.processes import end_with_parent, requests_to_stop
from espnet3.runtime.streams import READER_GONE, reader_is_gone

log = logging.getLogger(__name__)

Work = Callable[[], None]


class _Group:
    """Hands requests to stop to the processes; one that comes while they are being started is not lost.

    They see SIGTERM alone: a terminal's Ctrl-C reaches them as well as this process, at any moment of their start.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.port = free_port()
        self.failures = get_context("fork").SimpleQueue()
        self.processes: list[Any] = []
        self.asked: int | None = None
        """The signal that asked to stop."""
        self.before: Mapping[int, Any] = {}
        """The handlers until now."""

    def ask(self, number: int, _: FrameType | None) -> None:
        """The signal handler."""
        self.asked = number
        self.forward()

    def forward(self) -> None:
        for process in self.processes:
            if process.pid and process.is_alive():
                os.kill(process.pid, signal.SIGTERM)


def run_ranks(work: Work, count: int) -> None:
    """Run `work` in `count` processes that form a group; a request to stop that comes too late for it comes after.

    Raises:
        Espnet3Error: the first that one of them raised.
        TryAgain: one of them was killed.
        Stopped: they were asked to stop where there was nothing to save.
        ProcessException: an unforeseen error of one, with its traceback.
    """
    group = _Group(count)
    with requests_to_stop(group.ask) as group.before:
        try:
            _join(start_processes(_rank, (work, group), count, join=False, start_method="fork"), group)  # type: ignore[no-untyped-call]
        except ProcessException as error:
            found = _first(group.failures) or _meaning_of(error, group)
            if found is error:
                raise
            raise found from error
    if group.asked is not None:
        signal.raise_signal(group.asked)


def _join(context: Any, group: _Group) -> None:
    group.processes = context.processes
    if group.asked is not None:
        group.forward()
    while not context.join(grace_period=10):
        pass


def _meaning_of(error: ProcessException, group: _Group) -> Exception:
    """What it means that a process ended and left no message: that it was stopped or killed, or an error as it is."""
    if reader_is_gone():
        return BrokenPipeError(errno.EPIPE, "Nobody reads what the training writes.")
    if group.asked is not None:
        return Stopped("Asked to stop where there was nothing to save; run the stage again.")
    if any(process.exitcode == -signal.SIGKILL for process in group.processes):
        return TryAgain(
            f"A training process was killed ({error}); most often memory ran out. Run the stage again: it goes on from "
            "its last checkpoint; if need be with a smaller dataloader.batch_seconds."
        )
    if isinstance(error, ProcessRaisedException):
        return error
    return TryAgain(f"A training process ended unexpectedly: {error}.")


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _rank(rank: int, work: Work, group: _Group) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, group.before.get(signal.SIGTERM, signal.SIG_DFL))
    if group.asked is not None:  # between the fork and the lines before
        raise SystemExit(TryAgain.exit_code)
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(group.port),
        WORLD_SIZE=str(group.count),
        NODE_RANK="0",
        LOCAL_RANK=str(rank),
        RANK=str(rank),
    )
    if rank:
        logging.getLogger().setLevel(logging.WARNING)
    try:
        work()
    except Espnet3Error as error:
        group.failures.put((type(error).__name__, str(error)))
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        if not reader_is_gone():
            raise
        raise SystemExit(READER_GONE) from None


def _first(failures: Any) -> Espnet3Error | None:
    if failures.empty():
        return None
    name, message = failures.get()
    error: Espnet3Error = getattr(errors, name, Espnet3Error)(message)
    return error

"""Several devices: one process each, forked from this one before it has touched a device.

The processes find each other on this machine; Lightning Fabric's ddp strategy does the rest. An error of any of
them ends them all and is raised here as what it was.
"""

import logging
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import ProcessExitedException, start_processes

from espnet3 import errors
from espnet3.errors import Espnet3Error, TryAgain

log = logging.getLogger(__name__)

Work = Callable[[], None]


def run_ranks(work: Work, count: int) -> None:
    """Run `work` in `count` processes that form a group.

    Raises:
        Espnet3Error: the first that one of them raised.
        TryAgain: one of them was killed.
    """
    failures = get_context("fork").SimpleQueue()
    context: Any = start_processes(  # type: ignore[no-untyped-call]
        _rank, (work, count, free_port(), failures), count, join=False, start_method="fork"
    )

    def forward(number: int, _: FrameType | None) -> None:
        for process in context.processes:
            if process.pid and process.is_alive():
                os.kill(process.pid, number)

    before = signal.signal(signal.SIGTERM, forward)
    try:
        while not context.join(grace_period=10):
            pass
    except ProcessExitedException as error:
        raise _first(failures) or TryAgain(f"A training process ended unexpectedly: {error}.") from error
    finally:
        signal.signal(signal.SIGTERM, before)


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _rank(rank: int, work: Work, count: int, port: int, failures: Any) -> None:
    os.environ.update(
        MASTER_ADDR="127.0.0.1",
        MASTER_PORT=str(port),
        WORLD_SIZE=str(count),
        NODE_RANK="0",
        LOCAL_RANK=str(rank),
        RANK=str(rank),
    )
    if rank:
        logging.getLogger().setLevel(logging.WARNING)
    try:
        work()
    except Espnet3Error as error:
        failures.put((type(error).__name__, str(error)))
        raise SystemExit(error.exit_code) from None


def _first(failures: Any) -> Espnet3Error | None:
    if failures.empty():
        return None
    name, message = failures.get()
    error: Espnet3Error = getattr(errors, name, Espnet3Error)(message)
    return error

"""SIGTERM during training: finish the optimizer step, write a checkpoint, then stop so that a retry goes on from
there.

The training loop asks after every step, and after every batch of a validation, whether it was asked to stop; what is
written before it stops is up to the loop. Before the loop and after it there is nothing to be saved: there, the
handler of whoever runs the stage counts (`stages/_process.py` stops at once).
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Preemption:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: only remembers."""
        self.requested = True


@contextmanager
def preemption() -> Iterator[Preemption]:
    """Take SIGTERM as a request while the block runs; the handler from before is back after it.

    Python lets the main thread alone handle signals; in another one the block runs without.
    """
    watch = Preemption()
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return
    before = signal.signal(signal.SIGTERM, watch.request)
    try:
        yield watch
    finally:
        signal.signal(signal.SIGTERM, before)

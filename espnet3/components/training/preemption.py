"""SIGTERM or Ctrl-C during training: finish the optimizer step, write a checkpoint, then stop so that a retry goes on
from there.

The training loop asks after every step, and after every batch of a validation, whether it was asked to stop; what is
written before it stops is up to the loop. Before the loop and after it there is nothing to be saved: there, the
handlers of whoever runs the stage count (`stages/_process.py` and `recipe.cli` stop at once).
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from espnet3.runtime.processes import requests_to_stop


class Preemption:
    """Whether this process was asked to stop."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @property
    def requested(self) -> bool:
        """Whether it was."""
        return self.signal is not None

    def request(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: only remembers."""
        self.signal = number


@contextmanager
def preemption() -> Iterator[Preemption]:
    """Take SIGTERM and Ctrl-C as a request while the block runs; one that it ends without answering comes after it."""
    watch = Preemption()
    with requests_to_stop(watch.request):
        yield watch
    if watch.signal is not None:
        signal.raise_signal(watch.signal)

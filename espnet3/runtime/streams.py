"""stdout and stderr as a Unix program has them: quiet when nobody reads them any more, and able to write any name.

`failures` asks whether the reader is gone; the command lines (`recipe.cli`, `transcribe`, the stages, `python -m k8s`)
call `prepare_streams` before they write and `flush_streams` before they call their work done. What is written is
theirs.
"""

import atexit
import io
import os
import select
import sys
from contextlib import suppress

NOT_UTF8 = (
    "{name} is a name of bytes that are not UTF-8, so it cannot be written down. Give the file or folder another."
)
READER_GONE = 141
"""Exit code: what a shell reports of a program that SIGPIPE ended."""


def prepare_streams() -> None:
    """Write what has no UTF-8, such as a file name of other bytes, as escapes; be quiet where a pipe closes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    atexit.register(_let_go)


def is_unicode(name: str) -> bool:
    """Whether a file's name is UTF-8; Python writes other bytes as halves of surrogate pairs."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def flush_streams() -> None:
    """Bring everything to its reader now, while it can still be told that there is none.

    Raises:
        BrokenPipeError: there is none.
    """
    sys.stdout.flush()
    sys.stderr.flush()


def reader_is_gone() -> bool:
    """Whether stdout or stderr is a pipe that nobody reads any more."""
    poll = select.poll()
    for number in (1, 2):
        poll.register(number, 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _let_go() -> None:
    """At the very end, let what is left in the buffers go nowhere: Python would complain of it."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except BrokenPipeError:
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        except (OSError, ValueError, AttributeError):  # full, closed, or none at all
            pass

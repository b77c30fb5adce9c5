"""What a failure is to the one who started the run: an exit code and a text without secrets.

A recipe's run.py (through `cli.main`) and the container entrypoints end by it, so both say the same and exit with
the same code. The codes of foreseen failures stand in `espnet3.errors`.
"""

import errno
import os
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from espnet3.errors import ConfigError, Espnet3Error, Stopped, TryAgain
from espnet3.runtime.processes import StopAtOnce
from espnet3.runtime.redaction import environment_secrets, redact

UNFORESEEN = 1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EREMOTEIO)
"""What a volume says whose server is away for a while."""


@dataclass(frozen=True)
class Failure:
    """How a run ends that has failed."""

    exit_code: int
    text: str
    """For stderr: one message for what was foreseen, else a stack trace."""
    foreseen: bool = True


def failure_of(error: BaseException) -> Failure:
    """What to say about `error`, and the code to exit with."""
    if isinstance(error, Stopped):
        return Failure(error.exit_code, _redacted(f"{error}\n"))
    if isinstance(error, Espnet3Error):
        return Failure(error.exit_code, _redacted(f"error: {error}\n"))
    if isinstance(error, KeyboardInterrupt):
        return Failure(Stopped.exit_code, "interrupted; the same command goes on from here\n")
    if isinstance(error, OSError) and (cure := _cure_of(error)):
        return Failure(cure[0], _redacted(f"error: {error}; {cure[1]}, then run the same command again\n"))
    return Failure(UNFORESEEN, _redacted("".join(traceback.format_exception(error))), foreseen=False)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from, the newest first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def stop_at_once() -> StopAtOnce:
    """The signal handler that ends a run as a `KeyboardInterrupt` would, had it come through."""
    return StopAtOnce([lambda _: _write(failure_of(KeyboardInterrupt()).text)])


def _write(text: str) -> None:
    """To stderr, past buffers that the signal may have come into; on a terminal, below what stands there."""
    show_cursor = "\x1b[?25h"  # which a progress bar hides
    os.write(2, f"{show_cursor}\n{text}".encode() if os.isatty(2) else text.encode())


def _cure_of(error: OSError) -> tuple[int, str] | None:
    """Exit code and what to do about a volume that does not take or give a file."""
    if error.errno in _NO_ROOM:
        return UNFORESEEN, "make room or choose another directory"
    if error.errno in _PASSING:
        return TryAgain.exit_code, "the volume did not answer: wait a moment"
    if isinstance(error, PermissionError):
        who = f"uid {os.getuid()} and gid {os.getgid()}"
        return ConfigError.exit_code, f"this process is {who}: make it accessible for them"
    return None


def _redacted(text: str) -> str:
    return redact(text, environment_secrets())

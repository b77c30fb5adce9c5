"""What a failure is to the one who started the run: an exit code and a text without secrets.

A recipe's run.py (through `cli.main`) and the container entrypoints end by it, so both say the same and exit with
the same code. The codes of foreseen failures stand in `espnet3.errors`.
"""

import errno
import os
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

from espnet3.errors import ConfigError, DataError, Espnet3Error, Stopped, TryAgain
from espnet3.runtime.processes import StopAtOnce
from espnet3.runtime.redaction import environment_secrets, redact
from espnet3.runtime.shared_memory import SHARED_MEMORY_FULL, is_full
from espnet3.runtime.streams import NOT_UTF8, READER_GONE, reader_is_gone

UNFORESEEN = 1
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_SHOWN = 200
"""Characters of a line that are shown around what is wrong in it."""
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
    if found := _of_the_system(error):
        return found
    return Failure(UNFORESEEN, _redacted("".join(traceback.format_exception(error))), foreseen=False)


def exit_code_of(error: BaseException) -> int:
    """The code to exit with, after what there is to say was written to stderr; an unforeseen error is raised again."""
    failure = failure_of(error)
    if not failure.foreseen:
        raise error
    sys.stderr.write(failure.text)
    return failure.exit_code


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


def _of_the_system(error: BaseException) -> Failure | None:
    """What the machine, a volume or a file's name is at fault for."""
    if isinstance(error, BrokenPipeError) and reader_is_gone():
        return Failure(READER_GONE, "")
    if isinstance(error, UnicodeEncodeError) and (name := _not_unicode(error)):
        return Failure(DataError.exit_code, _redacted(f"error: {NOT_UTF8.format(name=name)}\n"))
    if isinstance(error, OSError) and (cure := _cure_of(error)):
        return Failure(cure[0], _redacted(f"error: {error}; {cure[1]}, then run the same command again\n"))
    return None


def _cure_of(error: OSError) -> tuple[int, str] | None:
    """Exit code and what to do about a volume that does not take or give a file."""
    if error.errno in _NO_ROOM and error.filename is None and is_full():
        return UNFORESEEN, SHARED_MEMORY_FULL
    if error.errno in _NO_ROOM:
        return UNFORESEEN, "make room or choose another directory"
    if error.errno == errno.EFBIG:
        return UNFORESEEN, "files may not become so large here: raise the limit (ulimit -f) or choose another volume"
    if error.errno in _PASSING:
        return TryAgain.exit_code, "the volume did not answer: wait a moment"
    if isinstance(error, PermissionError):
        who = f"uid {os.getuid()} and gid {os.getgid()}"
        return ConfigError.exit_code, f"this process is {who}: make it accessible for them"
    return None


def _not_unicode(error: UnicodeEncodeError) -> str:
    """The text that is no Unicode because a file's or folder's name is not, shortened to the line of it."""
    if not any("\udc80" <= letter <= "\udcff" for letter in error.object[error.start : error.end]):
        return ""
    before, after = error.object[: error.start], error.object[error.start :]
    line = re.split(r"[\n\r]", before)[-1][-_SHOWN:] + re.split(r"[\n\r]", after)[0][:_SHOWN]
    return line.encode("utf-8", "backslashreplace").decode("utf-8").strip()


def _redacted(text: str) -> str:
    return redact(text, environment_secrets())

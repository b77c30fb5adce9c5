"""What a failure is to the one who started the run: an exit code and a text without secrets.

A recipe's run.py (through `run_utils.main`) and the container entrypoints end by it, so both say the same and exit with
the same code. The codes of foreseen failures stand in `espnet3.errors`.
"""

import errno
import traceback
from dataclasses import dataclass

from espnet3.errors import Espnet3Error, TryAgain
from espnet3.utils.redaction import environment_secrets, redact

INTERRUPTED = 130
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
    if isinstance(error, Espnet3Error):
        return Failure(error.exit_code, _redacted(f"error: {error}\n"))
    if isinstance(error, KeyboardInterrupt):
        return Failure(INTERRUPTED, "interrupted; the same command goes on from here\n")
    if isinstance(error, OSError) and error.errno in _NO_ROOM:
        cure = "make room or choose another directory, then run the same command again"
        return Failure(UNFORESEEN, _redacted(f"error: {error}; {cure}\n"))
    if isinstance(error, OSError) and error.errno in _PASSING:
        return Failure(
            TryAgain.exit_code, _redacted(f"error: {error}; the volume did not answer: run the same command again\n")
        )
    return Failure(UNFORESEEN, _redacted("".join(traceback.format_exception(error))), foreseen=False)


def _redacted(text: str) -> str:
    return redact(text, environment_secrets())

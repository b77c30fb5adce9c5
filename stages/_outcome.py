"""What came of a stage, for those outside of the container: the outcome file and the termination message.

The entrypoint calls `report` at the end, however it comes. Nothing here stops a stage: where an outcome cannot be
written, stderr says so.
"""

import json
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages import _environment

TERMINATION_LOG = Path("/dev/termination-log")
LONGEST_MESSAGE = 4096
"""Bytes that Kubernetes keeps of a termination message."""


@dataclass
class Outcome:
    """What came of a stage so far."""

    stage: str
    status: str = "failed"
    """`done`, `skipped` (done already), `stopped` (asked to, or a passing fault) or `failed`."""
    exit_code: int = 1
    message: str = ""
    """The error, if any; without secrets."""
    result: Any = None
    """The figures that the stage is run for, where there are any."""
    started: float = field(default_factory=time.monotonic)

    def report(self) -> None:
        """Write the outcome file where the environment asks for one, and the message of an error."""
        if self.message:
            _write_termination_message(self.message)
        if path := _environment.path_in("ESPNET3_OUTCOME_FILE"):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(self._content(), ensure_ascii=False) + "\n", encoding="utf-8")
            except OSError as error:
                sys.stderr.write(f"The outcome file {path} cannot be written: {error.strerror}.\n")

    def _content(self) -> dict[str, Any]:
        attempt = _environment.text_in("ESPNET3_ATTEMPT") or "0"
        return {
            "stage": self.stage,
            "status": self.status,
            "exit_code": self.exit_code,
            "seconds": round(time.monotonic() - self.started, 3),
            "attempt": int(attempt) if attempt.isdecimal() else attempt,
            "peak_memory_bytes": peak_memory(),
            "result": self.result,
            "message": self.message,
        }


def peak_memory() -> int:
    """Most bytes that this process, or the largest of its finished children, held at a time."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024


def _write_termination_message(message: str) -> None:
    named = _environment.path_in("ESPNET3_TERMINATION_LOG")
    path = named or TERMINATION_LOG
    if named is None and not path.exists():
        return
    try:
        with path.open("wb") as file:
            file.write(message.encode()[-LONGEST_MESSAGE:])
    except OSError:
        return  # the same message is on stderr

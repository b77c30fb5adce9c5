"""What came of a stage, for those outside of the container: the outcome file and the termination message.

The entrypoint calls `report` at the end, however it comes. A workflow keeps both in its own object, three times over
and for every shard, so they are short: the whole message is on stderr and in the stage's log on the volume, the whole
result in the stage's files. Nothing here stops a stage: where an outcome cannot be written, stderr says so.
"""

import json
import resource
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from espnet3.errors import ConfigError
from stages import _environment

TERMINATION_LOG = Path("/dev/termination-log")
LONGEST_MESSAGE = 1000
"""Bytes of a message."""
LONGEST_MESSAGES = 48 * 1024
"""Bytes of the messages of all shards of a stage."""
LONGEST_RESULT = 4096
"""Bytes of a result as JSON."""


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
            _write_termination_message(shortened(self.message))
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
            "result": self._short_result(),
            "message": shortened(self.message),
        }

    def _short_result(self) -> Any:
        if len(json.dumps(self.result)) <= LONGEST_RESULT:
            return self.result
        return f"too long for a workflow; it is in the files that {self.stage} wrote"


def shortened(message: str) -> str:
    """What a workflow keeps of a message: the beginning of a sentence of ours, the end of a stack trace."""
    longest = min(LONGEST_MESSAGE, LONGEST_MESSAGES // _shards())
    text = message.encode(errors="backslashreplace")
    if len(text) <= longest:
        return text.decode()
    if message.startswith("error: "):
        return text[: longest - 6].decode(errors="ignore") + " …\n"
    return "… " + text[-(longest - 4) :].decode(errors="ignore")


def _shards() -> int:
    try:
        shard = _environment.shard()
    except ConfigError:  # what is being told
        return 1
    return shard.count if shard else 1


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
            file.write(message.encode())
    except OSError:
        return  # the same message is on stderr

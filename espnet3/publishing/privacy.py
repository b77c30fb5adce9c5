"""What must not leave with a pack: secrets, names of machines, paths of this machine. Found with file and line.

`pack_model` and `pack_demo` call `refuse_private` on what they are about to hand over, before it takes its place.
"""

import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from espnet3.errors import ConfigError
from espnet3.utils.redaction import environment_secrets

CERTAIN = 8
"""Characters from which on a value of the environment is not met by chance."""
LEAST_HOST = 4
"""Characters from which on a machine's name is not met by chance."""
_MOST_SHOWN = 10

_PATTERNS = {
    "looks like an access token": (
        r"\b(hf_[A-Za-z0-9]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|glpat-[\w-]{16,}|AKIA[A-Z0-9]{16})\b"
    ),
    "is a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "is a password in an address": r"://[^/\s:@]+:[^/\s:@]+@",
    "is the name of a machine": r"\b[\w-]+(?:\.[\w-]+)*\.(?:internal|local|lan|intranet|corp|localdomain)\b",
    "is the address of a machine": r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b",
    "is an absolute path": r"(?<![\w.:/<>*~-])/(?:[\w.@+-]+/)+[\w.@+-]*|\b[A-Z]:\\\\?\w",
}
_FAULTS = {why: re.compile(pattern) for why, pattern in _PATTERNS.items()}


def refuse_private(folder: Path, leave_out: str = "") -> None:
    """Look through every file of a folder.

    Args:
        folder: what is about to be published.
        leave_out: the name of a folder in it that holds nothing of this machine.

    Raises:
        ConfigError: something private is there; names file and line, and secrets without their value.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    files = [path for path in files if path.relative_to(folder).parts[0] != leave_out]
    found = [finding for path in files for finding in _findings(path, folder)]
    if found:
        more = [f"and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
        lines = "\n  ".join([*found[:_MOST_SHOWN], *more])
        raise ConfigError(
            f"What would be published holds what is private, so nothing was written:\n  {lines}\n"
            "Take it out of the recipe's publication config, or out of the file that it comes from."
        )


def _findings(path: Path, folder: Path) -> Iterator[str]:
    content = path.read_bytes()
    try:
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        yield from _binary_findings(content, path.relative_to(folder))
        return
    literals = _literals()
    for number, line in enumerate(lines, start=1):
        for why, text in _line_findings(line, literals):
            yield f"{path.relative_to(folder)}:{number}: {text} {why}"


def _line_findings(line: str, literals: dict[str, str]) -> Iterator[tuple[str, str]]:
    for why, pattern in _FAULTS.items():
        if match := pattern.search(line):
            yield why, "a text" if "token" in why or "password" in why else repr(match[0])
    for text, why in literals.items():
        if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", line):
            yield why, "a text" if "secret" in why else repr(text)


def _binary_findings(content: bytes, name: Path) -> Iterator[str]:
    """Of what is no text, only what this machine knows for certain."""
    for text, why in _literals().items():
        if (place := content.find(text.encode())) >= 0:
            yield f"{name}, byte {place}: {'a text' if 'secret' in why else repr(text)} {why}"


def _literals() -> dict[str, str]:
    places = {str(Path.home()), str(Path.cwd()), sys.prefix, os.environ.get("PWD", "")}
    found = {place: "is a path of this machine" for place in places if place.count("/") > 1}
    names = {socket.gethostname(), socket.getfqdn()} - {"localhost"}
    found |= {name: "is the name of this machine" for name in names if len(name) >= LEAST_HOST}
    return found | {
        value: "is a secret of the environment" for value in environment_secrets() if len(value.strip()) >= CERTAIN
    }

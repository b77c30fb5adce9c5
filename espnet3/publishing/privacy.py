"""What must not leave with a pack: secrets, names of machines, paths of this machine. Found with file and line.

`pack_model` and `pack_demo` call `refuse_private` on what they are about to hand over, before it takes its place.
"""

import os
import re
import socket
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from espnet3.errors import ConfigError
from espnet3.runtime.redaction import environment_secrets
from espnet3.runtime.secret_names import is_secret
from espnet3.runtime.secret_values import MARKS, PRIVATE_KEY, TOKEN

CERTAIN = 8
"""Characters from which on a value of the environment is not met by chance."""
LEAST_HOST = 4
"""Characters from which on a machine's name is not met by chance."""
_MOST_SHOWN = 10
_CONTROLS = bytes({*range(32), 127} - {*b"\t\n\v\f\r"})
_MOST_CONTROLS = 0.01
"""Share of a file's bytes up to which control characters make it no binary."""

_STEP = r"[\w.@+-]+"
_OF_EVERY_MACHINE = r"(?:usr/)?bin/(?:env|(?:ba)?sh|python3?)\b|dev/(?:null|std(?:in|out|err))\b"
_OF_PEOPLE = r"(?:home|Users|root|srv|mnt|media|scratch|export|nfs|gpfs|lustre|Volumes)"
"""Folders with the files of people: named anywhere, they begin a path."""
_PATHS = (
    rf"(?<![\w.:/>*~}}-])/(?!{_OF_EVERY_MACHINE})(?:{_STEP}/)+{_STEP}",
    r"(?<![\w.:/<>*~}-])/[A-Za-z0-9_@+-]{4,}/",  # but not the phoneme /p/
    rf"(?<=:)/(?:{_STEP}/)+{_STEP}",  # host:/path
    rf"(?<![\w-])-[A-Z]/(?:{_STEP}/)+{_STEP}",  # -I/path
    rf"(?<![\w./])(?:-[a-z])?/{_OF_PEOPLE}/[\w.@+-]*",
    r"(?<![\w.:/<>*~-])/root(?![\w-])",
    r"\bfile:/+[\w.@+-][^\s\"'<>]*",
    rf"(?<![\w./~-])~/[\w@+-][\w.@+-]*|(?<![\w./~-])~[a-z][\w-]*/{_STEP}/",  # but not ~/.cache, which everybody has
    r"\b[A-Z]:\\\\?\w",
)
_INTERNAL = ("internal", "local", "lan", "intranet", "corp", "localdomain")


class _Fault(NamedTuple):
    """What is private wherever it stands."""

    why: str
    marks: tuple[str, ...]
    """One of these is in it; to look for them first is a hundred times as fast."""
    pattern: re.Pattern[str]


_FAULTS = (
    _Fault(
        "looks like an access token",
        MARKS,
        TOKEN,
    ),
    _Fault("is a private key", ("-----BEGIN",), PRIVATE_KEY),
    _Fault("is a password in an address", ("://",), re.compile(r"://[^/\s:@]+:[^/\s:@]+@")),
    _Fault(
        "is the name of a machine",
        tuple(f".{name}" for name in _INTERNAL),
        # A call, as threading.local(), or a name inside of another, as a tensor's, is none.
        re.compile(rf"\b[\w-]+(?:\.[\w-]+)*\.(?:{'|'.join(_INTERNAL)})\b(?!\(|\.\w)"),
    ),
    _Fault(
        "is the address of a machine",
        ("10.", "192.168.", "172."),
        re.compile(r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b"),
    ),
    _Fault("is an absolute path", ("/", ":\\"), re.compile("|".join(_PATHS))),
)
# Neither a placeholder nor a call is a secret.
_ASSIGNED = re.compile(
    r"(?<![\w-])([A-Za-z][\w-]*)[\"']?\s*[=:]\s*[\"']?"
    r"(?!(?i:(?:your|my|some|example)[_-]|change_?me|x{3,}))(?![\w.]*[(\[{])([\w/+~!@%^&*=-][\w/+.~!@%^&*=-]{7,})"
)
_NAMES_A_SECRET = re.compile(
    r"(?i:secret|passw(?:or)?d|passphrase|credential|api_?key|access_?key|private_?key)|_TOKEN"
)


class _Known(NamedTuple):
    """A text that only this machine, or who works on it, has."""

    text: str
    why: str
    pattern: re.Pattern[str]
    is_word: bool = False
    """Of the language, too: alone it tells nothing."""


def refuse_private(folder: Path, leave_out: str = "", members: Collection[str] | None = None) -> None:
    """Look through every file of a folder, or those of its files that are `members`.

    Args:
        folder: what is about to be published.
        leave_out: the name of a folder in it that holds nothing of this machine.
        members: names of the files that are published; all where left out.

    Raises:
        ConfigError: something private is there; names file and line, and secrets without their value.
    """
    paths = folder.rglob("*") if members is None else (folder / name for name in members)
    files = [path for path in sorted(paths) if path.is_file()]
    files = [path for path in files if path.relative_to(folder).parts[0] != leave_out]
    known = _all_known()
    found = [finding for path in files for finding in _findings(path, str(path.relative_to(folder)), known)]
    if found:
        more = [f"and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
        lines = "\n  ".join([*found[:_MOST_SHOWN], *more])
        raise ConfigError(
            f"What would be published holds what is private, so nothing was written:\n  {lines}\n"
            "Take it out of the recipe's publication config, or out of the file that it comes from."
        )


def _findings(path: Path, name: str, known: Sequence[_Known]) -> Iterator[str]:
    content = path.read_bytes()
    if path.suffix == ".safetensors":
        start = 8 + int.from_bytes(content[:8], "little")
        yield from _text_findings(content[8:start].decode("utf-8", "replace"), f"{name}, header", known)
        yield from _binary_findings(content[start:], name, start, known)
    elif (text := _as_text(content)) is not None:
        yield from _text_findings(text, name, known)
    else:
        yield from _binary_findings(content, name, 0, known)


def _as_text(content: bytes) -> str | None:
    """A licence or a lexicon may be older than UTF-8."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        controls = len(content) - len(content.translate(None, _CONTROLS))
        is_binary = b"\0" in content or controls > _MOST_CONTROLS * len(content)
        return None if is_binary else content.decode("cp1252", "replace")


def _text_findings(text: str, name: str, known: Sequence[_Known]) -> Iterator[str]:
    text = text.replace("\\/", "/")  # JSON may escape it
    searched = [_NAMES_A_SECRET, *(fault.pattern for fault in _possible(text))]
    searched += [each.pattern for each in known if each.text in text]
    if not any(pattern.search(text) for pattern in searched):
        return  # line by line, a large language model would take minutes
    for number, line in enumerate(text.splitlines(), start=1):
        for why, found in _line_findings(line, known):
            yield f"{name}:{number}: {found} {why}"


def _possible(text: str) -> list[_Fault]:
    return [fault for fault in _FAULTS if any(mark in text for mark in fault.marks)]


def _line_findings(line: str, known: Sequence[_Known]) -> Iterator[tuple[str, str]]:
    for fault in _possible(line):
        if match := fault.pattern.search(line):
            secret = "token" in fault.why or "password" in fault.why
            yield fault.why, "a text" if secret else repr(match[0])
    for each in known:
        if each.text in line and each.pattern.search(line):
            yield each.why, _shown(each)
    for name, value in _ASSIGNED.findall(line) if _NAMES_A_SECRET.search(line) else ():
        if _gives_away(name, value):
            yield f"is what {name} is set to", "a text"


def _gives_away(name: str, value: str) -> bool:
    """Variables of the environment have any value; in a program, a secret is what no name there looks like."""
    if not (_NAMES_A_SECRET.search(name) and is_secret(name)):
        return False
    return name.isupper() or any(character.isdigit() for character in value)


def _binary_findings(content: bytes, name: str, start: int, known: Sequence[_Known]) -> Iterator[str]:
    """Of what is not a text, only what this machine knows for certain."""
    for each in known:
        if not each.is_word and (place := content.find(each.text.encode())) >= 0:
            yield f"{name}, byte {start + place}: {_shown(each)} {each.why}"


def _shown(known: _Known) -> str:
    return "a text" if "secret" in known.why else repr(known.text)


def _all_known() -> list[_Known]:
    places = {str(Path.home()), str(Path.cwd()), sys.prefix, os.environ.get("PWD", "")}
    found = {place: "is a path of this machine" for place in places if place.count("/") > 1}
    secrets = {value for value in environment_secrets() if len(value.strip()) >= CERTAIN}
    found |= dict.fromkeys(secrets, "is a secret of the environment")
    hosts = {socket.gethostname(), socket.getfqdn()} - {"localhost"}
    known = [_Known(text, why, _alone(text)) for text, why in found.items()]
    return known + [_host(name) for name in sorted(hosts) if len(name) >= LEAST_HOST]


def _alone(text: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")


def _host(name: str) -> _Known:
    """A machine may be called `speech`: then its name counts only where an address stands."""
    why, text = "is the name of this machine", re.escape(name)
    if re.search(r"[\d.-]", name):
        return _Known(name, why, _alone(name))
    before = r"(?<=\w@)|(?<=://)|(?<![\w-])(?i:host(?:name)?)[\"']?\s*[=:]\s*[\"']?"
    return _Known(name, why, re.compile(rf"(?:{before}){text}(?![\w-]|\.\w)"), is_word=True)

"""The lines of a text file that somebody made: UTF-8 with or without a byte order mark, or a sentence that says where.

Tables, lexicons, ARPA files and the lists of a corpus are read through it. Lines end with a line feed, before which a
carriage return may stand; what else looks like a line end stays in its line.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path

from espnet3.errors import DataError

LONGEST_LINE = 1 << 26
"""Bytes; a longer line is no text that somebody wrote."""

_WIDE = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_CURE = "Save the file as UTF-8."


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file with their numbers, from 1, without line ends.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it cannot be read, or a line is not UTF-8; names file and line.
    """
    for number, line in raw_lines(path):
        try:
            text = decoded(line)
        except DataError as error:
            raise DataError(f"{path}:{number}: {error}") from None
        yield number, text


def raw_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The same, not decoded yet, for who wants to go on after a bad line.

    Raises:
        FileNotFoundError: there is no such file.
        DataError: it cannot be read, is UTF-16 or UTF-32, or has a line of more than `LONGEST_LINE` bytes.
    """
    try:
        with path.open("rb") as file:
            _refuse_wide(path, file.peek(4)[:4])
            number = 0
            while line := file.readline(LONGEST_LINE):
                number += 1
                if len(line) == LONGEST_LINE:
                    raise DataError(f"{path}:{number}: the line has more than {LONGEST_LINE >> 20} MiB. Is it a text?")
                line = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                yield number, line.removesuffix(b"\n").removesuffix(b"\r")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


def decoded(line: bytes) -> str:
    """The text of a line.

    Raises:
        DataError: it is not UTF-8; where the line is, is up to the caller.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise DataError(f"is not UTF-8 (byte {error.start + 1} of the line is 0x{byte:02x}). {_CURE}") from None


def _refuse_wide(path: Path, head: bytes) -> None:
    for mark, name in _WIDE.items():
        if head.startswith(mark):
            raise DataError(f"{path}:1: is {name}, not UTF-8. {_CURE}")
    if b"\0" in head:  # without a mark, as letters of ASCII then have a zero beside them
        raise DataError(f"{path}:1: is UTF-16 or UTF-32, or no text at all, not UTF-8. {_CURE}")

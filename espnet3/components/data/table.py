"""Tables that users write: tab-separated text, a header line, a row for each utterance.

Dataset builders read a corpus with `read_table`; the template's does. A field is what stands between two tabs, to the
letter: there is no quoting, so a quotation mark is part of its transcript, and neither a tab nor a line break can be.
Rows that cannot be read without guessing are refused, all at once, with their lines.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet3.components.data.faults import Faults
from espnet3.components.data.text_checks import LONGEST_TEXT, shown
from espnet3.components.data.text_lines import decoded, raw_lines
from espnet3.errors import DataError

_AS_CSV = re.compile(r'"(?:[^"]|"")*"')
_PLAIN = "A table has plain fields: write each without quotation marks around it (csv and pandas: quoting=3)."


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table: `row["text"]` is the field of a column."""

    place: str
    """File and line, for messages: `corpus.tsv:7`."""
    fields: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.fields[column]

    def choice(self, column: str, accepted: Collection[str]) -> str:
        """The field of a column that has one of a few values.

        Raises:
            DataError: it has another.
        """
        value = self[column]
        if value not in accepted:
            raise DataError(f"{column} is {shown(value)}; use {', '.join(accepted)}.")
        return value


def read_table(path: Path, columns: Sequence[str], faults: Faults | None = None) -> Iterator[Row]:
    """The rows of a table, read as they are asked for; empty lines are passed over.

    Args:
        path: UTF-8, with or without a byte order mark.
        columns: those that it must have, in any order; others may stand beside them.
        faults: gets what is wrong with rows, which are then left out; where there is none, the last row is followed by
            an error that names all of them.

    Raises:
        DataError: there is no such file, it is no such table, or rows are faulty; names file and line.
    """
    if faults is None:
        with Faults() as own:
            yield from read_table(path, columns, own)
        return
    lines = _lines(path)
    columns_there = _header(path, next(lines, (1, b""))[1], columns)
    for number, line in lines:
        place = f"{path}:{number}"
        if line.strip():
            with faults.told_at(place):
                yield Row(place, dict(zip(columns_there, _fields(line, len(columns_there)), strict=True)))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        yield from raw_lines(path)
    except FileNotFoundError:
        raise DataError(f"There is no table {path}. Correct the path, or write one.") from None


def _header(path: Path, line: bytes, columns: Sequence[str]) -> list[str]:
    """The names of the columns."""
    try:
        text = decoded(line)
    except DataError as error:
        raise DataError(f"{path}:1: {error}") from None
    names = text.split("\t")
    if missing := [column for column in columns if column not in names]:
        hint = " Columns are parted by tabs, and their names stand without quotation marks." if len(names) == 1 else ""
        hint = " Lines end with a line feed; a carriage return alone ends none." if "\r" in text else hint
        raise DataError(
            f"{path}:1: no column {', '.join(missing)}; the columns are {', '.join(columns)}, and the first line is "
            f"{shown(text)}.{hint}"
        )
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}:1: there are several columns {', '.join(map(repr, repeated))}. Rename or remove one.")
    return names


def _fields(line: bytes, count: int) -> list[str]:
    """The fields of a row that has as many as the header.

    Raises:
        DataError: it has not, or a field cannot be taken as it is.
    """
    text = decoded(line)
    fields = text.split("\t")
    if len(text.splitlines()) > 1 or "\0" in text:
        raise DataError(f"a field holds a line break or a NUL: {shown(text)}. Write a space instead.")
    if len(fields) > count:
        raise DataError(
            f"the row has {len(fields)} fields, the header {count}: {shown(text)}. A tab parts fields and cannot stand "
            "in a transcript; write a space instead."
        )
    if len(fields) < count:
        raise DataError(
            f"the row has {len(fields)} of {count} fields: {shown(text)}. Is there a line break in a "
            "transcript, or a field left out? An empty field has its tab all the same."
        )
    for field in fields:
        _check(field)
    return fields


def _check(field: str) -> None:
    if len(field) > LONGEST_TEXT:
        raise DataError(f"a field has {len(field)} characters; at most {LONGEST_TEXT} are taken: {shown(field)}.")
    if '""' in field and _AS_CSV.fullmatch(field):
        raise DataError(f"a field is quoted as in CSV, its quotation marks doubled: {shown(field)}. {_PLAIN}")

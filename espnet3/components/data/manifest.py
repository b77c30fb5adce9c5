"""Manifests: JSON Lines files that say which utterances there are, one a line.

Dataset builders write them (`write_manifest`), everything that handles utterances reads them (`Manifest`), and
`espnet3.components.data.validation` checks them. A `Manifest` keeps line offsets in memory and nothing else, so that a
million utterances open in seconds and travel cheaply to worker processes. Texts are written and handed on in one
Unicode form (see `text`), whichever a corpus or a hand-made manifest has. Audio is not touched here.
"""

import codecs
import json
import logging
import math
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, overload

import numpy as np

from espnet3.components.data.text import composed
from espnet3.errors import DataError
from espnet3.runtime.files import replacing
from espnet3.runtime.streams import NOT_UTF8, is_unicode

log = logging.getLogger(__name__)

BLOCK = 1 << 24
"""Bytes read at once."""

_DURATION = re.compile(rb'"duration"\s*:\s*([0-9.eE+-]+)\s*[,}]')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One line of a manifest."""

    utt_id: str
    """Unique in its dataset; no white space and no slash, because it stands in text files and names files."""
    audio: str
    """Path of the audio file: absolute, or relative to the manifest's folder. A file may hold many utterances."""
    start: float
    """Seconds from the beginning of the file."""
    duration: float
    """Seconds."""
    sample_rate: int
    """Of the file, in Hz."""
    text: str
    """What is said."""
    speaker: str
    """Who says it."""
    checksum: str
    """Of the whole file: `sha256:` and 64 hexadecimal digits."""
    channel: int | None = None
    """Which channel of the file, from 0; the mean of all where left out."""


OPTIONAL = "channel"
"""The field that a line may leave out; it is not written where it says nothing."""
COLUMNS = tuple(field.name for field in fields(Utterance) if field.name != OPTIONAL)
_TYPES: dict[str, type] = {field.name: field.type for field in fields(Utterance)}  # type: ignore[misc]
_TYPES[OPTIONAL] = int
_WRITTEN = tuple(_TYPES[column] for column in COLUMNS)
_CALLED = {str: "text", int: "a whole number", float: "a number"}


class Manifest(Sequence[Utterance]):
    """The utterances of a manifest file, read when they are asked for.

    Opening it indexes the lines: about 1 s and 8 MB for a million. `durations` costs another pass, the first time.

    Raises:
        DataError: the file is missing; later, when a line is asked for, the line is malformed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._handle = _open(self.path)
        self._state = _state(self._handle)
        self._ends = _line_ends(self._handle)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The manifest at `path`."""
        return cls(path)

    @property
    def root(self) -> Path:
        """The folder to which relative audio paths are relative."""
        return self.path.parent

    @cached_property
    def durations(self) -> np.ndarray:
        """Seconds of each utterance: float64, (utterances,)."""
        found = np.fromiter((_duration(line) for line in self.lines()), np.float64, len(self))
        for index in np.flatnonzero(np.isnan(found)):
            found[index] = self[int(index)].duration
        return found

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...
    @overload
    def __getitem__(self, index: slice) -> list[Utterance]: ...
    def __getitem__(self, index: int | slice) -> Utterance | list[Utterance]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path} has {len(self)} utterances; there is no number {index}.")
        index %= len(self)
        start = int(self._ends[index - 1]) if index else 0
        return self._parse(index, os.pread(self._handle, int(self._ends[index]) - start, start))

    def __iter__(self) -> Iterator[Utterance]:
        return (self._parse(index, line) for index, line in enumerate(self.lines()))

    def lines(self) -> Iterator[bytes]:
        """The raw lines in their order, with their line ends."""
        position, rest = 0, b""
        while block := os.pread(self._handle, BLOCK, position):
            position += len(block)
            *lines, rest = (rest + block).split(b"\n")
            yield from (line + b"\n" for line in lines)
        if rest:
            yield rest

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_handle"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._handle = _open(self.path)
        if _state(self._handle) != self._state:
            raise DataError(f"{self.path} was changed while it was in use. Run the stage again.")

    def __del__(self) -> None:
        if (handle := self.__dict__.get("_handle")) is not None:
            os.close(handle)

    def __repr__(self) -> str:
        return f"Manifest({str(self.path)!r}, {len(self)} utterances)"

    def _parse(self, index: int, line: bytes) -> Utterance:
        parsed = parse_line(line)
        if isinstance(parsed, Utterance):
            text = composed(parsed.text)
            return parsed if text == parsed.text else replace(parsed, text=text)
        raise DataError("\n".join(f"{self.path}:{index + 1}: {problem}" for problem in parsed))


def write_manifest(path: Path | str, utterances: Iterable[Utterance]) -> None:
    """Replace the manifest at `path`: one JSON object a line, keys in the order of `Utterance`, UTF-8, texts in NFC.

    How many texts came in another form is logged.

    Raises:
        DataError: an utterance's file, or any other of its texts, has a name that is not UTF-8.
    """
    with _writing(path) as write:
        for utterance in utterances:
            write(utterance)


def write_splits(folder: Path, splits: Sequence[str], utterances: Iterable[tuple[str, Utterance]]) -> None:
    """Replace `<folder>/<split>.jsonl` for each of `splits`, by utterances that come with their split.

    One pass for all: utterances are not kept in memory, and where the last of them fails, no manifest is replaced.
    """
    with ExitStack() as stack:
        write = {split: stack.enter_context(_writing(folder / f"{split}.jsonl")) for split in splits}
        for split, utterance in utterances:
            write[split](utterance)


@contextmanager
def _writing(path: Path | str) -> Iterator[Callable[[Utterance], None]]:
    """What appends an utterance to the manifest that takes the place of `path` when the block ends well."""
    written, changed, first = 0, 0, ""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:

        def write(utterance: Utterance) -> None:
            nonlocal written, changed, first
            record = {column: getattr(utterance, column) for column in COLUMNS}
            record["text"] = composed(utterance.text)
            if record["text"] != utterance.text:
                changed, first = changed + 1, first or utterance.utt_id
            written += 1
            if utterance.channel is not None:
                record[OPTIONAL] = utterance.channel
            file.write(_line_of(record))

        yield write
    if changed:
        log.warning(
            "%s: %d of %d transcripts came in another Unicode form than NFC and were changed to it, first that of %s.",
            *(path, changed, written, first),
        )


def _line_of(record: dict[str, Any]) -> str:
    line = json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
    if is_unicode(line):
        return line
    strange = [repr(value) for value in record.values() if isinstance(value, str) and not is_unicode(value)]
    raise DataError(NOT_UTF8.format(name=", ".join(strange)))


def parse_line(line: bytes) -> Utterance | list[str]:
    """The utterance of a manifest line, its text as it stands there, or every reason why there is none."""
    record = _load(line)
    if isinstance(record, str):
        return [record]
    problems = _field_problems(record)
    if not problems and _SURROGATE.search(line):
        problems = _lone_surrogates(record)
    if problems:
        return problems
    record["start"], record["duration"] = float(record["start"]), float(record["duration"])
    return Utterance(**record)


def _load(line: bytes) -> dict[str, Any] | str:
    """The object on a line, or what is wrong with it."""
    try:
        record = json.loads(line.removeprefix(codecs.BOM_UTF8).decode(), object_pairs_hook=_record)
    except UnicodeDecodeError as error:
        return f"is not UTF-8 (byte {error.start + 1} of the line). Save the file as UTF-8."
    except ValueError as error:
        return _malformed(line, error)
    except RecursionError:
        return "is nested too deeply for a manifest line."
    if not isinstance(record, dict):
        return f"must be a JSON object with {', '.join(COLUMNS)}; it is {_shown(record)}."
    return record


def _record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"{next(key for key in record if keys.count(key) > 1)} stands there twice")
    return record


def _field_problems(record: dict[str, Any]) -> list[str]:
    if tuple(record) == COLUMNS and tuple(map(type, record.values())) == _WRITTEN and record["sample_rate"] < 2**63:
        return []  # as write_manifest writes it, which saves a fifth of the time
    problems = [f"{key} is missing." for key in COLUMNS if key not in record]
    problems += [f"{key!r} is unknown; the fields are {', '.join(_TYPES)}." for key in record if key not in _TYPES]
    for key, kind in _TYPES.items():
        given = type(record.get(key))
        if key in record and given is not kind and not (kind is float and given is int):
            problems.append(f"{key} must be {_CALLED[kind]}; it is {_shown(record[key])}.")
        elif given is int and not -(2**63) < record[key] < 2**63:
            problems.append(f"{key} is too large a number.")
    return problems


def _lone_surrogates(record: dict[str, Any]) -> list[str]:
    texts = {key: value for key, value in record.items() if isinstance(value, str)}
    broken = [key for key, value in texts.items() if any(0xD800 <= ord(char) <= 0xDFFF for char in value)]
    return [f"{key} holds half of a surrogate pair, which is not a character." for key in broken]


def _malformed(line: bytes, error: ValueError) -> str:
    if not line.strip():
        return "is an empty line."
    cut = "" if line.endswith(b"\n") else " The file may have been cut short here."
    return f"is malformed JSON: {error}.{cut}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else text[:57] + "..."


def _duration(line: bytes) -> float:
    """The duration on a line, many times faster than JSON; NaN where it takes a closer look."""
    match _DURATION.findall(line):
        case [number]:
            try:
                return float(number)
            except ValueError:
                return math.nan
    return math.nan


def _open(path: Path) -> int:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError(f"There is no manifest {path}. Run create_dataset, or correct the path.") from None
    except OSError as error:
        raise DataError(f"The manifest {path} cannot be read: {error.strerror}.") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise DataError(f"The manifest {path} is not a file.")
    return handle


def _state(handle: int) -> tuple[int, int, int]:
    status = os.fstat(handle)
    return status.st_ino, status.st_size, status.st_mtime_ns


def _line_ends(handle: int) -> np.ndarray:
    """Where each line ends: int64, (lines,); the last line counts also where its line end is missing."""
    found, position = [np.empty(0, np.int64)], 0
    while block := os.pread(handle, BLOCK, position):
        found.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + (position + 1))
        position += len(block)
    ends = np.concatenate(found)
    return np.append(ends, position) if position > (ends[-1] if len(ends) else 0) else ends

"""The audio index: how the recordings of a manifest were when their contents were last compared with its checksums.

It lies beside the manifest, as `.<name>.audio`. create_dataset and the plan write it (`audio_index_writer`); whoever
opens a recording looks it up (`audio_check`), and the plan goes through it (`audio_changes`). A line is evidence and
nothing more: a file of this size and time had this content. What it does not vouch for, readers hash. So an index that
is damaged, cut or of an earlier manifest costs time, and never lets another recording pass.

The first line is a header, as JSON. The others are tab separated and sorted bytewise: `archive` (several utterances lie
in the file) or `file`, the path as JSON text, bytes, modification time in ns, the manifest's checksum. Lines are read
where they are asked for, with pread: it shares the page cache between processes as a memory map does, and a file that
is replaced on a network volume is an error rather than the end of the process. No numpy here: the plan loads none.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple, Self

VERSION = 1
BLOCK = 1 << 14
"""Bytes that are searched at once; a line, whose path is at most 4096 bytes, is far shorter as a rule."""
LONGEST = 1 << 18
"""Bytes in which a line ends, unless it is damaged."""
LANDMARKS = 4096
"""Lines whose place is remembered: those that every search meets first, in about 1 MB."""
ARCHIVE, FILE = b"archive", b"file"


class BadIndexError(ValueError):
    """An index that cannot be used; the message says why, as the end of a sentence about it."""


class Entry(NamedTuple):
    """What is known about a recording."""

    audio: str
    """Its path, as in the manifest."""
    size: int
    """Bytes; 0 where no content was confirmed."""
    mtime_ns: int
    checksum: str
    """The manifest's."""

    def line(self) -> bytes:
        """Path, size, time and checksum as they stand in the index, without kind and line end."""
        return b"%b%d\t%d\t%b" % (_key(self.audio), self.size, self.mtime_ns, self.checksum.encode("ascii"))

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """The entry of such a line.

        Raises:
            ValueError: it is none.
        """
        audio, size, mtime_ns, checksum = line.split(b"\t")
        return cls(json.loads(audio), int(size), int(mtime_ns), checksum.decode("ascii"))

    def fits(self, status: os.stat_result) -> bool:
        """Whether a file is as it was when its content was confirmed."""
        return status.st_size == self.size > 0 and status.st_mtime_ns == self.mtime_ns


@dataclass(frozen=True)
class ManifestState:
    """What tells one manifest from another."""

    size: int
    """Bytes."""
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, manifest: Path) -> Self:
        """That of a manifest file, which is read."""
        with manifest.open("rb") as file:
            status = os.fstat(file.fileno())
            return cls(status.st_size, status.st_mtime_ns, file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True)
class Header:
    """The first line of an index."""

    manifest: ManifestState
    archives: int
    files: int
    archive_bytes: int
    """Length of the lines about archives, which come first."""
    body_bytes: int
    """Length of all lines but this one."""
    body_sha256: str
    version: int = VERSION

    def line(self) -> bytes:
        """As it stands in the file."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """The header of a first line.

        Raises:
            BadIndexError: it is none, or one of another version.
        """
        try:
            fields: dict[str, Any] = json.loads(line)
            if (version := fields["version"]) == VERSION:
                sizes = (fields[name] for name in ("archives", "files", "archive_bytes", "body_bytes"))
                if all(type(size) is int for size in sizes):
                    return cls(**fields | {"manifest": ManifestState(**fields["manifest"])})
        except (ValueError, TypeError, KeyError, RecursionError):
            version = VERSION
        raise BadIndexError("is damaged" if version == VERSION else "was written by another version of espnet3")


class AudioIndex:
    """An index file, open for looking things up.

    Raises:
        FileNotFoundError: there is none.
        BadIndexError: it is damaged, cut, of another version, or cannot be read.
    """

    def __init__(self, manifest: Path) -> None:
        self.path = index_path(manifest)
        try:
            self._handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            first = self._read(0, BLOCK).partition(b"\n")[0]
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BadIndexError(f"cannot be read ({error.strerror})") from None
        self.header = Header.parse(first)
        self._start = len(first) + 1
        self._files = self._start + self.header.archive_bytes
        self._end = self._start + self.header.body_bytes
        self.status = os.fstat(self._handle)
        if self.status.st_size != self._end or not self._start <= self._files <= self._end:
            raise BadIndexError("is cut short or damaged")
        self._landmarks: dict[int, tuple[int, bytes]] = {}

    def find(self, audio: str) -> Entry | None:
        """What is known about a recording: a few microseconds; None where nothing is.

        Raises:
            OSError: the index can no longer be read.
        """
        key = _key(audio)
        return self._find(ARCHIVE + b"\t" + key, self._start, self._files) or self._find(
            FILE + b"\t" + key, self._files, self._end
        )

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """Every recording, archives first, with a number of utterances: 1, or 2 for several.

        Raises:
            ValueError: a line is damaged.
        """
        with self._body() as file:
            for line in file:
                kind, _, rest = line.removesuffix(b"\n").partition(b"\t")
                yield Entry.parse(rest), 2 if kind == ARCHIVE else 1

    def is_whole(self) -> bool:
        """Whether every byte is as it was written."""
        with self._body() as file:
            return file_digest(file, "sha256").hexdigest() == self.header.body_sha256

    def _body(self) -> BufferedReader:
        file = os.fdopen(os.dup(self._handle), "rb")
        file.seek(self._start)
        return file

    def _find(self, key: bytes, low: int, high: int) -> Entry | None:
        """The entry whose line starts with `key`, of the lines from the byte `low` to the byte `high`."""
        while high - low > BLOCK:
            middle = (low + high) // 2
            start, head = self._line_after(middle)
            if start >= high:  # a single line is longer than half of what is left
                break
            low, high = (start, high) if head <= key else (low, start)
        block = self._read(low, high - low) if low < high else b""
        place = 0 if block.startswith(key) else block.find(b"\n" + key) + 1
        if place == 0 and not block.startswith(key):
            return None
        try:
            return Entry.parse(block[place : block.index(b"\n", place)].partition(b"\t")[2])
        except ValueError:  # damaged
            return None

    def _line_after(self, place: int) -> tuple[int, bytes]:
        """Where the first line after the byte `place` starts, and its kind and path."""
        if found := self._landmarks.get(place):
            return found
        size = 512
        while True:
            block = self._read(place, size)
            start = block.find(b"\n") + 1
            path_start = block.find(b"\t", start) + 1
            path_end = block.find(b"\t", path_start) + 1
            if (start and path_start and path_end) or len(block) < size or size > LONGEST:
                break
            size *= 8
        found = place + (start or len(block)), block[start:path_end]
        if len(self._landmarks) < LANDMARKS:
            self._landmarks[place] = found
        return found

    def _read(self, place: int, size: int) -> bytes:
        return os.pread(self._handle, size, place)

    def __del__(self) -> None:
        if (handle := self.__dict__.get("_handle")) is not None:
            os.close(handle)


def index_path(manifest: Path) -> Path:
    """Where the index of a manifest lies."""
    return manifest.with_name(f".{manifest.name}.audio")


def _key(audio: str) -> bytes:
    """A path as JSON text, in which no tab or line end can be, and a tab: no key is the beginning of another."""
    return json.dumps(audio).encode() + b"\t"

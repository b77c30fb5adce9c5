"""Writes the audio index of a manifest (see `audio_index`), whatever its length, in little memory.

create_dataset gathers an entry for every utterance (`EntrySorter`), the plan renews those that it found touched or
copied; both hand them to `write_index`. Whether they are true is up to the callers.
"""

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import IO, Self

from espnet3.components.data.audio_index import (
    ARCHIVE,
    FILE,
    AudioIndex,
    BadIndexError,
    Entry,
    Header,
    ManifestState,
    index_path,
)
from espnet3.runtime.files import replacing
from espnet3.runtime.temporaries import temporary_path

MOST_IN_MEMORY = 100_000
"""Recordings; more are sorted in parts, on disk."""
CHUNK = 1 << 20
"""Bytes moved at once."""


class EntrySorter:
    """Gathers an entry for each utterance of a manifest, and gives one for each recording, while its block runs."""

    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest
        self._counts: dict[bytes, int] = {}
        self._parts: list[IO[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.close()

    def add(self, line: bytes, utterances: int = 1) -> None:
        """Count utterances of a recording, which is given as `Entry.line`."""
        self._counts[line] = self._counts.get(line, 0) + utterances
        if len(self._counts) > MOST_IN_MEMORY:
            part = _temporary_file(self._manifest)
            part.writelines(b"%b\t%d\n" % pair for pair in sorted(self._counts.items()))
            self._parts.append(part)
            self._counts.clear()

    def entries(self) -> Iterator[tuple[Entry, int]]:
        """Each recording once, sorted, with the number of its utterances.

        One that was gathered in several states changed in the meantime; any of them will do, as none is vouched for.
        """
        lines = merge(*map(_read, self._parts), sorted(self._counts.items()))
        for _, group in groupby(lines, key=lambda pair: pair[0][: pair[0].index(b"\t")]):
            pairs = list(group)
            yield Entry.parse(pairs[-1][0]), sum(count for _, count in pairs)


def write_index(
    manifest: Path, state: ManifestState, entries: Iterable[tuple[Entry, int]], before: AudioIndex | None = None
) -> None:
    """Replace the index of a manifest, unless it is there and the same.

    Args:
        manifest: the manifest.
        state: as it was when the entries were made.
        entries: each recording with the number of its utterances; the archives among them sorted, the others too.
        before: the index that the entries were made from; if it has been replaced since, the newer one stays.

    Raises:
        OSError: the folder cannot be written, or is full.
        LostLease: another run owns the folder.
    """
    with _temporary_file(manifest) as archives, _temporary_file(manifest) as files:
        counts = {archives: 0, files: 0}
        for entry, utterances in entries:
            section, kind = (archives, ARCHIVE) if utterances > 1 else (files, FILE)
            section.write(b"%b\t%b\n" % (kind, entry.line()))
            counts[section] += 1
        sizes = archives.tell(), files.tell()
        digest = hashlib.sha256()
        for chunk in _chunks(archives, files):
            digest.update(chunk)
        header = Header(state, counts[archives], counts[files], sizes[0], sum(sizes), digest.hexdigest())
        if not _is_there(manifest, header):
            _replace(index_path(manifest), header, _chunks(archives, files), before)


def _is_there(manifest: Path, header: Header) -> bool:
    try:
        index = AudioIndex(manifest)
        return index.header == header and index.is_whole()
    except (OSError, BadIndexError):
        return False


def _replace(path: Path, header: Header, chunks: Iterable[bytes], before: AudioIndex | None) -> None:
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            file.write(header.line())
            file.writelines(chunks)
        if before is not None and not os.path.samestat(before.status, path.stat()):
            raise FileExistsError(f"{path} was written by another run in the meantime.")


def _read(part: IO[bytes]) -> Iterator[tuple[bytes, int]]:
    part.seek(0)
    for line in part:
        entry, _, count = line.rpartition(b"\t")
        yield entry, int(count)


def _chunks(*files: IO[bytes]) -> Iterator[bytes]:
    for file in files:
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk


def _temporary_file(manifest: Path) -> IO[bytes]:
    """A file that is gone when it is closed, also by a killed process; beside the manifest, if that may be."""
    if not os.access(manifest.parent, os.W_OK):
        return tempfile.TemporaryFile()
    path = temporary_path(index_path(manifest))
    file = path.open("x+b")
    path.unlink()
    return file

"""Which recordings of a manifest were replaced since create_dataset checked them, told without reading audio.

The plan calls `find_replaced` for each manifest of a config. Readers look for themselves (`audio_check`). Neither numpy
nor soundfile is loaded here.
"""

import codecs
import json
import logging
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from espnet3.components.data.audio_check import hash_anew, is_checksum, short
from espnet3.components.data.audio_index import AudioIndex, BadIndexError, Entry, ManifestState
from espnet3.components.data.audio_index_writer import EntrySorter, write_index
from espnet3.errors import TryAgain

log = logging.getLogger(__name__)

BETWEEN_LOOKS = 256
"""Recordings between two looks at the clock."""


@dataclass(frozen=True)
class AudioLook:
    """What was found out about the recordings of a manifest."""

    replaced: tuple[tuple[str, str], ...] = ()
    """Those that are not what the manifest names: path as in the manifest, and why, such as `1,234 → 1,240 bytes`,
    `sha256 ab12cd34… → 56ef7890…` or `is missing`."""
    looked: int = 0
    """Recordings that were looked at."""
    not_looked: int | None = 0
    """Recordings that were not, because it would take too long; None where nobody knows how many there are."""
    unknown: str = ""
    """Why there is nothing to compare with, as the end of a sentence about the manifest; else empty."""

    @property
    def note(self) -> str:
        """What was left out and how to have it looked at, as a sentence after the manifest's name; else empty."""
        if self.unknown:
            return f"{self.unknown}, so its recordings were not looked at; ESPNET3_VERIFY=1 hashes them."
        if self.not_looked:
            total = self.looked + self.not_looked
            return f"has {self.not_looked:,} of {total:,} recordings not looked at; ESPNET3_VERIFY=1 hashes them all."
        return ""


def find_replaced(manifest: Path, seconds: float = 2.0, verify: bool = False) -> AudioLook:
    """The recordings of a manifest that are no longer what its audio index says.

    Sizes and times are compared, of archives (which hold several utterances) always, of loose files while `seconds`
    last. Where only the time differs, the checksum decides; a recording that was merely touched or copied is put down
    as it is now, if the folder may be written, so that it is hashed once. A manifest without an index, or with that of
    another manifest, has nothing to compare with; see `AudioLook.unknown`.

    Args:
        manifest: the manifest; where it is missing, nothing is known.
        seconds: how long loose files are looked at.
        verify: hash every recording anew and compare it with the manifest itself, however long that takes; what is
            found is put down for later calls.
    """
    try:
        return _verify(manifest) if verify else _compare(manifest, AudioIndex(manifest), seconds)
    except FileNotFoundError:
        unknown = "has no audio index" if manifest.exists() else "is missing"
    except BadIndexError as error:
        unknown = f"has an audio index that {error}"
    except OSError as error:
        unknown = f"could not be compared with its audio index ({error.strerror})"
    return AudioLook(not_looked=None, unknown=unknown)


def _compare(manifest: Path, index: AudioIndex, seconds: float) -> AudioLook:
    state = _unchanged(manifest, index.header.manifest)
    if state is None:
        return AudioLook(not_looked=None, unknown="was changed since create_dataset checked it")
    if not index.is_whole():
        raise BadIndexError("is damaged")
    deadline = time.monotonic() + seconds
    looks = _Looks(manifest)
    for number, (entry, _) in enumerate(index.entries(), start=-index.header.archives):
        if number >= 0 and number % BETWEEN_LOOKS == 0 and time.monotonic() > deadline:
            break
        looks.add(entry)
    if looks.renewed or state != index.header.manifest:
        entries = ((looks.renewed.get(entry.audio, entry), utterances) for entry, utterances in index.entries())
        _put_down(manifest, state, entries, index)
    return looks.found(index.header.archives + index.header.files)


def _verify(manifest: Path) -> AudioLook:
    state, looks = ManifestState.of(manifest), _Looks(manifest)
    without_checksum = 0
    with EntrySorter(manifest) as named, EntrySorter(manifest) as renewed:
        for audio, checksum in _named(manifest):
            named.add(Entry(audio, 0, 0, checksum if is_checksum(checksum) else "").line())
        for entry, utterances in named.entries():
            if not entry.checksum:
                without_checksum += 1
                continue
            looks.add(entry)
            renewed.add(looks.renewed.pop(entry.audio, entry).line(), utterances)
        _put_down(manifest, state, renewed.entries())
    return looks.found(looks.looked + without_checksum)


class _Looks:
    """What came of looking at one recording after the other."""

    def __init__(self, manifest: Path) -> None:
        self._root = str(manifest.parent)
        self.looked = 0
        self.replaced: list[tuple[str, str]] = []
        self.renewed: dict[str, Entry] = {}
        """Those whose content is confirmed for another state than was known."""

    def add(self, entry: Entry) -> None:
        """Look at a recording."""
        self.looked += 1
        try:
            path = os.path.join(self._root, entry.audio)  # noqa: PTH118 (paths of text: there may be a million)
            status = os.stat(path)  # noqa: PTH116
            if not entry.fits(status) and (why := self._difference(path, entry, status)):
                self.replaced.append((entry.audio, why))
        except (FileNotFoundError, NotADirectoryError):
            self.replaced.append((entry.audio, "is missing"))
        except (OSError, ValueError) as error:  # a ValueError where it cannot be a path
            self.replaced.append((entry.audio, f"cannot be read: {getattr(error, 'strerror', error)}"))

    def found(self, recordings: int) -> AudioLook:
        """The sum, for a manifest of so many recordings."""
        return AudioLook(tuple(self.replaced), self.looked, recordings - self.looked)

    def _difference(self, path: str, entry: Entry, status: os.stat_result) -> str:
        if not stat.S_ISREG(status.st_mode):
            return "is not a file"
        if status.st_size != entry.size > 0:
            return f"{entry.size:,} → {status.st_size:,} bytes"
        with open(path, "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            found = hash_anew(file.fileno())
        if found != entry.checksum:
            return f"sha256 {short(entry.checksum)} → {short(found)}"
        self.renewed[entry.audio] = Entry(entry.audio, status.st_size, status.st_mtime_ns, found)
        return ""


def _unchanged(manifest: Path, known: ManifestState) -> ManifestState | None:
    """The state of a manifest of the same content; None where that is another."""
    status = manifest.stat()
    if (status.st_size, status.st_mtime_ns) == (known.size, known.mtime_ns):
        return known
    now = ManifestState.of(manifest)
    return now if now.sha256 == known.sha256 else None


def _named(manifest: Path) -> Iterator[tuple[str, str]]:
    """Path and checksum of each utterance; lines that are none are left to whoever reads the manifest."""
    with manifest.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line.removeprefix(codecs.BOM_UTF8))
                audio, checksum = record["audio"], record["checksum"]
            except (ValueError, KeyError, TypeError, RecursionError):
                continue
            if isinstance(audio, str) and isinstance(checksum, str):
                yield audio, checksum


def _put_down(
    manifest: Path, state: ManifestState, entries: Iterable[tuple[Entry, int]], before: AudioIndex | None = None
) -> None:
    """Keep what was found for later calls, where that may be."""
    try:
        write_index(manifest, state, entries, before)
    except (OSError, TryAgain) as error:
        log.debug("The audio index of %s was not renewed: %s", manifest, error)

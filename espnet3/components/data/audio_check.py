"""Whether a recording is the one that its manifest names, asked whenever one is opened.

`read_audio` asks for every utterance (`AudioCheck.admit`), create_dataset for every file (`AudioCheck.entry`). Size and
time are compared with the audio index; where they differ, the checksum decides, and this process remembers what it has
hashed. A manifest made by hand has no index: its own time stands in, and what is newer is hashed. Which recordings of a
corpus were replaced is told by `audio_changes`, without a stage that reads them. No numpy here, as in the plan.
"""

import hashlib
import logging
import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espnet3.components.data.audio_index import AudioIndex, BadIndexError, Entry
from espnet3.errors import DataError

if TYPE_CHECKING:
    from espnet3.components.data.manifest import Utterance

log = logging.getLogger(__name__)

MOST_LOGGED = 10
"""Files of a manifest that the log names; a copied corpus has a million."""

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
_confirmed: set[int] = set()
"""Hashes of states of files with the content that this process found: 0.1 kB each."""


class AudioCheck:
    """Knows how the recordings of a manifest were when they were checked.

    It opens the index when it is first asked, and again in a worker process to which it was handed.
    """

    def __init__(self, manifest: Path) -> None:
        self._manifest = manifest
        self._logged = 0
        self._checked_ns = -1  # only where the manifest's own time counts

    def admit(self, utterance: "Utterance", path: Path, handle: int) -> None:
        """Let a recording be read: some 10 µs, or as long as hashing takes where it looks different the first time.

        Args:
            utterance: the one that is asked for.
            path: its recording.
            handle: the open file, at its beginning, where it is left.

        Raises:
            DataError: it is not the recording that the manifest names.
        """
        status = os.fstat(handle)
        if self._knows(utterance.audio, utterance.checksum, status) or self._is_old(status):
            return
        if not is_checksum(utterance.checksum):
            self._say(logging.WARNING, "%s may have been replaced since %s was made, which has no sha256 of it.", path)
            return
        found = checksum_of(handle)
        if found != utterance.checksum:
            raise DataError(
                f"{path} is not the recording that {self._manifest} names for {utterance.utt_id}: its sha256 is "
                f"{short(found)}, the manifest says {short(utterance.checksum)}. It was replaced or damaged. Put the "
                "recording back, or run create_dataset again."
            )
        self._say(logging.INFO, "%s has another size or time than when %s was checked, but the same content.", path)

    def entry(self, audio: str, checksum: str) -> Entry | None:
        """What the index is to say about a recording; None where its content is another than the checksum says.

        A file that is as the index or this process knows it is not read.

        Raises:
            OSError: it cannot be read.
        """
        handle = os.open(self._manifest.parent / audio, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(handle)
            if not self._knows(audio, checksum, status) and checksum_of(handle) != checksum:
                return None
            return Entry(audio, status.st_size, status.st_mtime_ns, checksum)
        finally:
            os.close(handle)

    def _knows(self, audio: str, checksum: str, status: os.stat_result) -> bool:
        """Whether a file of this state is known to have this content."""
        if _confirmed and _state(status, checksum) in _confirmed:
            return True
        try:
            entry = self._index.find(audio) if self._index else None
        except OSError:  # the index was replaced, on a network volume: this one is hashed, the next finds the new one
            self.__dict__.pop("_index", None)
            return False
        return entry is not None and entry.checksum == checksum and entry.fits(status)

    def _is_old(self, status: os.stat_result) -> bool:
        """Whether the manifest, for want of an index, is newer than the recording, whatever it was copied from."""
        return max(status.st_mtime_ns, status.st_ctime_ns) <= self._checked_ns

    def _say(self, level: int, message: str, path: Path) -> None:
        self._logged += 1
        if self._logged <= MOST_LOGGED:
            log.log(level, message, path, self._manifest)
        if self._logged == MOST_LOGGED:
            log.log(level, "More recordings of %s are like that; they are not listed.", self._manifest)

    @cached_property
    def _index(self) -> AudioIndex | None:
        self._checked_ns = -1
        try:
            return AudioIndex(self._manifest)
        except FileNotFoundError:
            self._checked_ns = self._manifest.stat().st_mtime_ns
        except BadIndexError as error:
            log.warning("The index of the recordings of %s %s. Run create_dataset again.", self._manifest, error)
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_index"}


def checksum_of(handle: int) -> str:
    """`sha256:` and the digest of an open file, which is left at its beginning; this process remembers it.

    Raises:
        OSError: it cannot be read.
    """
    before, found = os.fstat(handle), hash_anew(handle)
    if _state(before, found) == _state(os.fstat(handle), found):
        _confirmed.add(_state(before, found))
    return found


def hash_anew(handle: int) -> str:
    """The same, and nothing is remembered."""
    os.lseek(handle, 0, os.SEEK_SET)
    with os.fdopen(handle, "rb", closefd=False) as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    os.lseek(handle, 0, os.SEEK_SET)
    return f"sha256:{found}"


def is_checksum(text: str) -> bool:
    """Whether it is `sha256:` and 64 hexadecimal digits."""
    return _CHECKSUM.fullmatch(text) is not None


def short(checksum: str) -> str:
    """The first digits of a checksum, as messages show it."""
    return f"{checksum.removeprefix('sha256:')[:8]}…"


def _state(status: os.stat_result, checksum: str) -> int:
    """A hash of a file's identity and state, as this process sees them, with its content."""
    state = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, checksum)
    return hash(state)

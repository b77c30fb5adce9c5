"""What an upload would change: a folder here against the files of a repository there. Talks to nobody."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from espnet3.errors import ConfigError, DataError
from espnet3.runtime.leases import is_lease_file

NEVER_DELETED = ".gitattributes"
"""The Hub's own file: which files are kept in LFS."""
_MOST_NAMED = 10


@dataclass(frozen=True)
class RemoteFile:
    """What the Hub tells of a file without sending it."""

    size: int
    """Bytes."""
    oid: str
    """Git's name of the content, where the content itself is in git."""
    sha256: str | None = None
    """Of the content, where it is kept in LFS."""


@dataclass(frozen=True)
class Difference:
    """Paths, relative to the folder and the repository's root, in order."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    deleted: tuple[str, ...]
    same: tuple[str, ...]
    left: tuple[str, ...]
    """There but not here, and not to be deleted."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.added or self.changed or self.deleted)

    def __str__(self) -> str:
        signs = (("+", self.added), ("~", self.changed), ("-", self.deleted))
        lines = [f"  {sign} {path}" for sign, paths in signs for path in paths]
        counts = (
            f"{len(self.added)} new, {len(self.changed)} changed, {len(self.deleted)} deleted, {len(self.same)} same"
        )
        return "\n".join([f"{counts}, {len(self.left)} only there", *lines])


def local_files(folder: Path) -> dict[str, Path]:
    """Every file of a folder by its relative path.

    Raises:
        DataError: the folder is missing or empty, or has a link in it, which could lead out of it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} does not exist: there is nothing to upload. Run the packing stage first.")
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    paths = [path for path in paths if not is_lease_file(path)]
    if links := [str(path) for path in paths if path.is_symlink()]:
        raise DataError(f"{', '.join(links)}: links are not uploaded, for they may lead anywhere. Make the pack anew.")
    if not paths:
        raise DataError(f"{folder} is empty: there is nothing to upload. Run the packing stage again.")
    return {path.relative_to(folder).as_posix(): path for path in paths}


def refuse_strays(files: Iterable[str], members: Collection[str], where: str, cure: str) -> None:
    """What lies in a folder that is published but is not a part of it may be anything: a key, a log, somebody's notes.

    Args:
        files: what is there.
        members: what belongs there.
        where: the folder, for the message.
        cure: which stage makes it anew, for the message.

    Raises:
        ConfigError: there is such a file.
    """
    if strays := [name for name in files if name not in members]:
        more = f" and {len(strays) - _MOST_NAMED} more" if len(strays) > _MOST_NAMED else ""
        raise ConfigError(
            f"{where} holds files that {cure} did not write: {', '.join(strays[:_MOST_NAMED])}{more}. Nothing was "
            f"uploaded. Remove them, or run {cure} again."
        )


def compare(here: Mapping[str, Path], there: Mapping[str, RemoteFile], delete: Iterable[str]) -> Difference:
    """What makes `there` hold what is `here`; only paths that match a pattern of `delete` go."""
    patterns = list(delete)
    common = [path for path in here if path in there]
    same = tuple(path for path in common if _is_same(here[path], there[path]))
    only_there = [path for path in sorted(there) if path not in here]
    deleted = tuple(path for path in only_there if _matches(path, patterns))
    return Difference(
        added=tuple(path for path in here if path not in there),
        changed=tuple(path for path in common if path not in same),
        deleted=deleted,
        same=same,
        left=tuple(path for path in only_there if path not in deleted),
    )


def _matches(path: str, patterns: list[str]) -> bool:
    return path != NEVER_DELETED and any(fnmatchcase(path, pattern) for pattern in patterns)


def _is_same(path: Path, remote: RemoteFile) -> bool:
    size = path.stat().st_size
    if size != remote.size:
        return False
    with path.open("rb") as file:
        if remote.sha256 is not None:
            return hashlib.file_digest(file, "sha256").hexdigest() == remote.sha256
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == remote.oid

"""Writing files so that a killed process leaves no half file.

Every stage writes through `replacing` (a file) and `replacing_dir` (a folder): to a temporary path beside it, flushed
to disk, then renamed. Where the process holds the lease of a directory (`leases`), each rename is checked, so that a
writer that lost it harms no byte. What is written is up to the callers.

A folder changes places with an earlier one in a single step where the system can do that. Where it cannot (NFS), the
earlier one has for a moment the name of a backup, from which `leases.lease` and `remove_leftovers` restore it.
"""

import ctypes
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from espnet3.errors import LostLease, TryAgain
from espnet3.runtime.leases import check_lease
from espnet3.runtime.temporaries import (
    BACKUP,
    IN_THE_WAY,
    TEMPORARY,
    delete,
    name_file,
    restore,
    restore_backup,
    temporary_path,
)

_HERE, _EXCHANGE = -100, 2
"""Linux's AT_FDCWD and RENAME_EXCHANGE."""
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
"""What a kernel, a file system or a container's filter says that does not exchange."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, flush it to disk and rename it to `path`.

    Raises:
        LostLease: another writer has taken the lease of a directory above `path`.
    """
    path = Path(path)
    check_lease(path)  # before a folder is made, too
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        yield temporary
        _flush(temporary)
        check_lease(path)
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        _explain(error, path, temporary)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_dir(path: Path | str) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`; when the block ends well, it takes the place of `path`.

    Whenever this process is killed, an earlier folder is still there, or is restored when the next owner takes the
    lease or removes the leftovers.
    """
    path = Path(path)
    check_lease(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    temporary.mkdir()
    try:
        yield temporary
        for file in (temporary, *temporary.rglob("*")):
            if not file.is_symlink():  # a link is part of its folder, and may lead nowhere
                _flush(file)
        check_lease(path)
        _put_in_place(temporary, path)
        _flush(path.parent)
    except OSError as error:
        _explain(error, path, temporary)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove(path: Path | str) -> None:
    """Delete a file or a folder with all that is in it, if it is there.

    Raises:
        LostLease: another run owns it; it is as it was.
    """
    path = Path(path)
    check_lease(path)
    taken = temporary_path(path)
    try:
        path.rename(taken)
    except FileNotFoundError:
        check_lease(path)
        return
    try:
        check_lease(path)  # again: whoever was frozen after the first time holds another's file now
    except LostLease:
        restore(taken, path)
        raise
    delete(taken)


def write_text(path: Path | str, text: str) -> None:
    """Replace `path` by a UTF-8 file that holds `text`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Replace `path` by a file that holds `content`."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def sha256(path: Path | str) -> str:
    """Hexadecimal digest of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_leftovers(directory: Path | str, nested: bool = True, name: str = "*") -> None:
    """Delete the temporary files that killed writers left in `directory`, which the caller owns; restore backups.

    A writer that still lives has lost the lease; it finds its file gone and no longer the owner.

    Args:
        directory: where to look; it need not exist.
        nested: also in its subfolders; not where other stages own these.
        name: only what was to become the file or folder of this name.

    Raises:
        LostLease: the caller is no longer the owner: what is there is the work of another.
    """
    find = Path(directory).rglob if nested else Path(directory).glob
    found = sorted(find(f".{name}.*.tmp"), key=lambda path: -len(path.parts))  # the inner ones first
    for path in [path for path in found if TEMPORARY.fullmatch(path.name)]:
        check_lease(path)
        delete(path)  # before a backup is restored: whoever is frozen then has nothing to put in its place
    for path in found:
        if match := BACKUP.fullmatch(path.name):
            check_lease(path)
            restore_backup(path.with_name(match[1]))
            delete(path)


def _explain(error: OSError, path: Path, temporary: Path) -> None:
    """What a file that is gone means, that another run may have removed it; and which file has no room."""
    name_file(error, path)
    if not isinstance(error, FileNotFoundError):
        return
    check_lease(path)
    if str(error.filename) == str(temporary):
        raise TryAgain(f"Another run removed the temporary file of {path}. Run the stage again.") from error


def _put_in_place(temporary: Path, path: Path) -> None:
    """Rename a folder over whatever is at `path`, which is only given up when the new one is there."""
    try:
        temporary.rename(path)  # a name that is free, or an empty folder
        return
    except OSError as error:
        if error.errno not in IN_THE_WAY:
            raise
    if _exchanged(temporary, path):
        delete(temporary)
        return
    backup = temporary_path(path, "old.tmp")
    path.rename(backup)
    try:
        temporary.rename(path)
    except OSError:
        restore(backup, path)
        raise
    delete(backup)


def _exchanged(temporary: Path, path: Path) -> bool:
    """Let two files change places in one step; False where this system cannot."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        return False
    sys.audit("os.rename", str(temporary), str(path), -1, -1)  # as Python tells of every other rename
    if exchange(_HERE, os.fsencode(temporary), _HERE, os.fsencode(path), _EXCHANGE) == 0:
        return True
    if (code := ctypes.get_errno()) in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(temporary), None, str(path))


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():  # not every volume flushes folders
            raise
    finally:
        os.close(handle)

"""Writing files so that a killed process leaves no half file, and so that one writer owns a directory.

Every stage writes through `replacing` (a file) and `replacing_dir` (a folder): beside, flushed to disk, then renamed.
A stage that claims its output directory (`claim`) has each rename checked: the writer that lost the directory stops
with `LostOwnership` before it harms a byte. There are no locks, so nothing stays behind when a process is killed. What
is written is the callers' affair.

A writer that was frozen between its last check and its rename would still get through. So a new owner first removes
what is half written (`remove_leftovers`): the old one then has nothing left to rename, and finds that out.

A folder changes places with an earlier one in a single step where the system can do that. Where it cannot (NFS), the
earlier one is set aside for a moment, under a name from which the next owner gives it back.
"""

import ctypes
import errno
import glob
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from espnet3.errors import LostOwnership, TryAgain

OWNER_FILE = ".owner"
PUT_BACK_SECONDS = 0.2
"""How long an owner's file that is gone may come back: see `_release`."""
_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")
_SET_ASIDE = re.compile(r"\.(.+)\.\d+\.[0-9a-f]{8}\.old\.tmp")
_HERE, _EXCHANGE = -100, 2
"""Linux's AT_FDCWD and RENAME_EXCHANGE."""
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)
"""What a kernel, a file system or a container's filter says that does not exchange."""
_IN_THE_WAY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)

Claims = Mapping[Path, str]
"""Owner files with the token that they hold while their directories are ours."""

_claims: ContextVar[dict[Path, str] | None] = ContextVar("claims", default=None)
_of_process: dict[Path, str] = {}
"""The claims that count in a thread which has none of its own."""


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, flush it to disk and rename it to `path`.

    Raises:
        LostOwnership: another writer has claimed a directory above `path`.
    """
    path = Path(path)
    check_ownership(path)  # before a folder is made, too
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    try:
        yield beside
        _flush(beside)
        check_ownership(path)
        beside.replace(path)
        _flush(path.parent)
    except FileNotFoundError as error:
        _explain(error, path, beside)
        raise
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_dir(path: Path | str) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`; when the block ends well, it takes the place of `path`.

    Whenever this process is killed, an earlier folder is still there, or comes back when the next owner claims it or
    removes the leftovers.
    """
    path = Path(path)
    check_ownership(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    beside.mkdir()
    try:
        yield beside
        for file in (beside, *beside.rglob("*")):
            if not file.is_symlink():  # a link is part of its folder, and may lead nowhere
                _flush(file)
        check_ownership(path)
        _put_in_place(beside, path)
        _flush(path.parent)
    except FileNotFoundError as error:
        _explain(error, path, beside)
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove(path: Path | str) -> None:
    """Delete a file or a folder with all that is in it, if it is there.

    Raises:
        LostOwnership: another run owns it; it is as it was.
    """
    path = Path(path)
    check_ownership(path)
    taken = _beside(path)
    try:
        path.rename(taken)
    except FileNotFoundError:
        check_ownership(path)
        return
    try:
        check_ownership(path)  # again: whoever was frozen after the first time holds another's file now
    except LostOwnership:
        _put_back(taken, path)
        raise
    _delete(taken)


def write_text(path: Path | str, text: str) -> None:
    """Replace `path` by a UTF-8 file that holds `text`."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Replace `path` by a file that holds `content`."""
    with replacing(path) as beside:
        beside.write_bytes(content)


def sha256(path: Path | str) -> str:
    """Hexadecimal digest of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def claim(*directories: Path | str, mark: str = OWNER_FILE) -> Iterator[None]:
    """Own `directories` while the block runs: whoever owned one before is stopped at its next rename.

    What a killed owner had set aside of them comes back first.

    The last to claim wins, so a retry never waits for a node that has vanished. Whatever goes wrong in a block that has
    lost a directory goes wrong because of that: the new owner may have cleared away what the old one was at.

    Args:
        directories: made where they are not there.
        mark: name of the owner file; runs that may write side by side (shards) have different ones.

    Raises:
        LostOwnership: another writer has claimed one of them.
    """
    paths = [Path(directory).resolve() / mark for directory in directories]
    for path in paths:
        _give_back(path.parent)
    tokens = {path: _sign(path) for path in paths}
    of_process = dict(_of_process)
    before = _claims.set(dict(claims()) | tokens)
    _of_process.update(tokens)
    try:
        yield
    except Exception:
        for path in paths:
            check_ownership(path)
        raise
    finally:
        _claims.reset(before)
        _of_process.clear()
        _of_process.update(of_process)
        for path, token in tokens.items():
            _release(path, token)


def claims() -> Claims:
    """The claims of this process, to be handed to one that works for it."""
    own = _claims.get()
    return dict(_of_process if own is None else own)


def adopt(claims: Claims) -> None:
    """Write under the claims of the process that this one works for: what it loses, this one has lost."""
    _of_process.update(claims)


def remove_leftovers(directory: Path | str, nested: bool = True, name: str = "*") -> None:
    """Delete what killed writers left half written in `directory`, which the caller owns.

    What they had set aside and not replaced yet gets its name back.

    A writer that still lives has lost the directory; it finds its file gone and no longer the owner.

    Args:
        directory: where to look; it need not exist.
        nested: also in its subfolders; not where other stages own these.
        name: only what was to become the file or folder of this name.

    Raises:
        LostOwnership: the caller is no longer the owner: what is there is the work of another.
    """
    find = Path(directory).rglob if nested else Path(directory).glob
    found = sorted(find(f".{name}.*.tmp"), key=lambda path: -len(path.parts))  # the inner ones first
    for path in [path for path in found if _TEMPORARY.fullmatch(path.name)]:
        check_ownership(path)
        _delete(path)  # before another is given back: whoever is frozen then has nothing to put in its place
    for path in found:
        if match := _SET_ASIDE.fullmatch(path.name):
            check_ownership(path)
            _give_back(path.with_name(match[1]))
            _delete(path)


def is_mark(path: Path) -> bool:
    """Whether a file is an owner's mark, whole or, of one that was killed, half written: no part of what is made."""
    return path.name == OWNER_FILE or (
        path.name.startswith(f".{OWNER_FILE}.") and _TEMPORARY.fullmatch(path.name) is not None
    )


def check_ownership(path: Path | str) -> None:
    """Make sure that no other run has claimed a directory above `path` since this one did.

    Raises:
        LostOwnership: with the name of the directory and of its new owner.
    """
    resolved = Path(path).resolve()
    for mark, token in claims().items():
        if resolved.is_relative_to(mark.parent) and (owner := _owner(mark)) != token:
            raise LostOwnership(
                f"{mark.parent} now belongs to another run ({owner or 'its owner file is gone'}); this one stopped and "
                "changed nothing more. Wait for the other run, then run the stage again."
            )


def _sign(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    token = f"{socket.gethostname()} pid {os.getpid()} {secrets.token_hex(8)}"
    while True:
        beside = _beside(path)
        try:
            beside.write_text(token, encoding="utf-8")
            beside.replace(path)
            return token
        except FileNotFoundError:
            # The owner until now may have removed it with what else was half written; where the folder is gone, so
            # that writing fails again, mkdir says why.
            path.parent.mkdir(parents=True, exist_ok=True)
        finally:
            beside.unlink(missing_ok=True)


def _owner(path: Path) -> str | None:
    """What an owner file says; waits a moment for one that is gone, because its owner may be about to get it back."""
    deadline = time.monotonic() + PUT_BACK_SECONDS
    while True:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
        if time.monotonic() > deadline:
            return None
        time.sleep(PUT_BACK_SECONDS / 20)


def _release(path: Path, token: str) -> None:
    """Remove an owner file if it is ours.

    Reading and then unlinking would unlink that of a run which claims in between. So the file is taken away under
    another name, looked at there, and given back where it is another's.
    """
    taken = _beside(path)
    with suppress(OSError):
        if path.read_text(encoding="utf-8") == token:
            path.rename(taken)
            if taken.read_text(encoding="utf-8") != token:
                _put_back(taken, path)
    taken.unlink(missing_ok=True)


def _explain(error: FileNotFoundError, path: Path, beside: Path) -> None:
    """What a file that is gone means: another run may have removed what was half written."""
    check_ownership(path)
    if str(error.filename) == str(beside):
        raise TryAgain(f"Another run removed what was half written of {path}. Run the stage again.") from error


def _put_in_place(beside: Path, path: Path) -> None:
    """Rename a folder over whatever is at `path`, which is only given up when the new one is there."""
    try:
        beside.rename(path)  # a name that is free, or an empty folder
        return
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
    if _exchanged(beside, path):
        _delete(beside)
        return
    old = _beside(path, "old.tmp")
    path.rename(old)
    try:
        beside.rename(path)
    except OSError:
        _put_back(old, path)
        raise
    _delete(old)


def _exchanged(beside: Path, path: Path) -> bool:
    """Let two files change places in one step; False where this system cannot."""
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if exchange is None:
        return False
    sys.audit("os.rename", str(beside), str(path), -1, -1)  # as Python tells of every other rename
    if exchange(_HERE, os.fsencode(beside), _HERE, os.fsencode(path), _EXCHANGE) == 0:
        return True
    if (code := ctypes.get_errno()) in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(beside), None, str(path))


def _give_back(path: Path) -> None:
    """Let a folder that a killed writer had set aside be `path` again, unless there is another."""
    for aside in path.parent.glob(f".{glob.escape(path.name)}.*.old.tmp"):
        match = _SET_ASIDE.fullmatch(aside.name)
        if match is None or match[1] != path.name or (path.exists() and not aside.is_dir()):
            continue
        try:
            aside.rename(path)  # a name that is free, or an empty folder
        except OSError as error:
            if error.errno not in (*_IN_THE_WAY, errno.ENOENT):
                raise


def _put_back(taken: Path, path: Path) -> None:
    """Give `taken` its name back, unless there is something of that name again."""
    if not taken.is_dir():
        try:
            os.link(taken, path)
            taken.unlink()
            return
        except FileExistsError:
            taken.unlink()
            return
        except OSError:  # not every volume has hard links
            pass
    if not path.exists():
        taken.rename(path)


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _beside(path: Path, suffix: str = "tmp") -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.{suffix}")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP) or not path.is_dir():  # not every volume flushes folders
            raise
    finally:
        os.close(handle)

"""Writing files so that a killed process leaves no half file, and so that one writer owns a directory.

Every stage writes through `replacing` (a file) and `replacing_dir` (a folder): beside, flushed to disk, then renamed.
A stage that claims its output directory (`claim`) has each rename checked: the writer that lost the directory stops
with `LostOwnership` before it harms a byte. There are no locks, so nothing stays behind when a process is killed. What
is written is the callers' affair.
"""

import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from espnet3.errors import LostOwnership

OWNER_FILE = ".owner"
_TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")
_claims: ContextVar[dict[Path, str] | None] = ContextVar("claims", default=None)


@contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; when the block ends well, flush it to disk and rename it to `path`.

    Raises:
        LostOwnership: another writer has claimed a directory above `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = _beside(path)
    try:
        yield beside
        _flush(beside)
        check_ownership(path)
        beside.replace(path)
        _flush(path.parent)
    except FileNotFoundError:
        check_ownership(path)  # A new owner may have removed what was half written.
        raise
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def replacing_dir(path: Path | str) -> Iterator[Path]:
    """Yield a new temporary folder beside `path`; when the block ends well, it takes the place of `path`."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside, old = _beside(path), _beside(path)
    beside.mkdir()
    try:
        yield beside
        for file in beside.rglob("*"):
            if not file.is_symlink():  # a link is part of its folder, and may lead nowhere
                _flush(file)
        check_ownership(path)
        if path.exists():
            path.rename(old)
        beside.rename(path)
        _flush(path.parent)
    except FileNotFoundError:
        check_ownership(path)
        raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path | str, text: str) -> None:
    """Replace `path` by a UTF-8 file that holds `text`."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8", newline="\n")


def write_bytes(path: Path | str, content: bytes) -> None:
    """Replace `path` by a file that holds `content`."""
    with replacing(path) as beside:
        beside.write_bytes(content)


@contextmanager
def claim(*directories: Path | str) -> Iterator[None]:
    """Own `directories` while the block runs: whoever owned one before is stopped at its next rename.

    The last to claim wins, so a retry never waits for a node that has vanished.
    """
    earlier = _claims.get() or {}
    tokens = {Path(directory).resolve(): _sign(Path(directory)) for directory in directories}
    before = _claims.set(earlier | tokens)
    try:
        yield
    finally:
        _claims.reset(before)
        for directory, token in tokens.items():
            if _owner(directory) == token:
                (directory / OWNER_FILE).unlink(missing_ok=True)


def remove_leftovers(directory: Path | str, nested: bool = True) -> None:
    """Delete what killed writers left half written in `directory`, which the caller owns.

    A writer that still lives has lost the directory; it finds its file gone and no longer the owner.

    Args:
        directory: where to look; it need not exist.
        nested: also in its subfolders; not where other stages own these.

    Raises:
        LostOwnership: the caller is no longer the owner: what is there is the work of another.
    """
    find = Path(directory).rglob if nested else Path(directory).glob
    for path in [path for path in find(".*.tmp") if _TEMPORARY.fullmatch(path.name)]:
        check_ownership(path)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def check_ownership(path: Path | str) -> None:
    """Make sure that no other run has claimed a directory above `path` since this one did.

    Raises:
        LostOwnership: with the name of the directory and of its new owner.
    """
    resolved = Path(path).resolve()
    for directory, token in (_claims.get() or {}).items():
        if resolved.is_relative_to(directory) and (owner := _owner(directory)) != token:
            raise LostOwnership(
                f"{directory} now belongs to another run ({owner or 'its owner file is gone'}); this one stopped and "
                "changed nothing more. Wait for the other run, then run the stage again."
            )


def _sign(directory: Path) -> str:
    directory.mkdir(parents=True, exist_ok=True)
    token = f"{socket.gethostname()} pid {os.getpid()} {secrets.token_hex(8)}"
    while True:
        beside = _beside(directory / OWNER_FILE)
        try:
            beside.write_text(token, encoding="utf-8")
            beside.replace(directory / OWNER_FILE)
            return token
        except FileNotFoundError:
            # The owner until now may have removed it with what else was half written; where the folder is gone, so
            # that writing fails again, mkdir says why.
            directory.mkdir(parents=True, exist_ok=True)
        finally:
            beside.unlink(missing_ok=True)


def _owner(directory: Path) -> str | None:
    try:
        return (directory / OWNER_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

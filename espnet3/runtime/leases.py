"""Leases of output directories: one writer at a time, and no lock that a killed process leaves behind.

A stage takes the `lease` of its output directory. The lease is a file with a fencing token; the last to take it wins,
and whoever held it before is stopped with `LostLease` at its next rename, because `files` calls `check_lease` before
each. What is written is up to the callers.

A writer that was frozen between its last check and its rename would still get through. So a new holder first removes
temporary files (`files.remove_leftovers`): the old one then has nothing left to rename, and finds that out.
"""

import errno
import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from espnet3.errors import LostLease
from espnet3.runtime.temporaries import TEMPORARY, name_file, restore, restore_backup, temporary_path

LEASE_FILE = ".lease"
RESTORE_SECONDS = 0.2
"""How long a lease file that is gone may come back: see `_release`."""

Leases = Mapping[Path, str]
"""Lease files with the fencing token that they hold while their directories are ours."""

_leases: ContextVar[dict[Path, str] | None] = ContextVar("leases", default=None)
_of_process: dict[Path, str] = {}
"""The leases that count in a thread which has none of its own."""


@contextmanager
def lease(*directories: Path | str, name: str = LEASE_FILE) -> Iterator[None]:
    """Own `directories` while the block runs: whoever owned one before is stopped at its next rename.

    A backup that a killed owner left of one of them is restored first.

    The last to take a lease wins, so a retry never waits for a node that has vanished. Whatever goes wrong in a block
    that has lost a lease goes wrong because of that: the new owner may have removed what the old one was writing.

    Args:
        directories: made where they are not there.
        name: of the lease file; runs that may write side by side (shards) have different ones.

    Raises:
        LostLease: another writer has taken one of the leases.
    """
    for held in held_leases():  # whoever has lost one must not go on to take another
        check_lease(held)
    paths = [Path(directory).resolve() / name for directory in directories]
    for path in paths:
        restore_backup(path.parent)
    tokens = {path: _write_lease(path) for path in paths}
    of_process = dict(_of_process)
    before = _leases.set(dict(held_leases()) | tokens)
    _of_process.update(tokens)
    try:
        yield
    except Exception:
        for path in paths:
            check_lease(path)
        raise
    finally:
        _leases.reset(before)
        _of_process.clear()
        _of_process.update(of_process)
        for path, token in tokens.items():
            _release(path, token)


def held_leases() -> Leases:
    """The leases of this process, to be handed to one that works for it."""
    own = _leases.get()
    return dict(_of_process if own is None else own)


def adopt(leases: Leases) -> None:
    """Write under the leases of the process that this one works for: what it loses, this one has lost."""
    _of_process.update(leases)


def check_lease(path: Path | str) -> None:
    """Make sure that no other run has taken the lease of a directory above `path` since this one did.

    Raises:
        LostLease: with the name of the directory and of its new owner.
    """
    resolved = Path(path).resolve()
    for file, token in held_leases().items():
        if resolved.is_relative_to(file.parent) and (holder := _holder(file)) != token:
            raise LostLease(
                f"{file.parent} now belongs to another run ({holder or 'its lease file is gone'}); this one stopped "
                "and changed nothing more. Wait for the other run, then run the stage again."
            )


def is_lease_file(path: Path) -> bool:
    """Whether a file is a lease, or the temporary file of one whose writer was killed: no part of what is made."""
    if path.name.startswith(f".{LEASE_FILE}"):
        return TEMPORARY.fullmatch(path.name) is not None
    return path.name == LEASE_FILE or path.name.startswith(f"{LEASE_FILE}.")


def _write_lease(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    token = f"{socket.gethostname()} pid {os.getpid()} {secrets.token_hex(8)}"
    while True:
        temporary = temporary_path(path)
        try:
            temporary.write_text(token, encoding="utf-8")
            temporary.replace(path)
            return token
        except FileNotFoundError:
            # The owner until now may have removed it with other temporary files; where the folder is gone, so that
            # writing fails again, mkdir says why.
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            name_file(error, path)
            raise
        finally:
            temporary.unlink(missing_ok=True)


def _holder(path: Path) -> str | None:
    """The token in a lease file; waits a moment for one that is gone, because its owner may be about to restore it."""
    deadline = time.monotonic() + RESTORE_SECONDS
    while True:
        try:
            return path.read_text(encoding="utf-8")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ESTALE):
                raise
        if time.monotonic() > deadline:
            return None
        time.sleep(RESTORE_SECONDS / 20)


def _release(path: Path, token: str) -> None:
    """Remove a lease file if it is ours.

    Reading and then unlinking would unlink that of a run which takes the lease in between. So the file is renamed,
    looked at under its temporary name, and restored where it is another's.
    """
    taken = temporary_path(path)
    with suppress(OSError):
        if path.read_text(encoding="utf-8") == token:
            path.rename(taken)
            if taken.read_text(encoding="utf-8") != token:
                restore(taken, path)
    taken.unlink(missing_ok=True)

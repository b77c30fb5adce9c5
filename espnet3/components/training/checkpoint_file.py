"""One checkpoint: written whole or not at all, and renamed only where it was read to its end and is damaged.

`checkpoints` decides which one is read and when. All checksums are looked at first, which torch does not: a hole of
zeros in the weights would go unnoticed. A volume that does not answer, or too little memory, says nothing about a
file: such a fault is raised as one that passes, and the file stays as it is.
"""

import errno
import logging
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import torch

from espnet3.errors import TryAgain
from espnet3.runtime.files import replacing
from espnet3.runtime.leases import check_lease

log = logging.getLogger(__name__)

VERSION = 3
Payload = dict[str, Any]

_NO_MEMORY = re.compile(r"allocate memory|out of memory|bad_?alloc|start new thread", re.IGNORECASE)
"""In torch's errors, which have no class of their own for it on a CPU."""
_BLOCK = 1 << 20
"""Bytes that are read at once where only the reading matters."""


class _DamagedError(Exception):
    """The file was read to its end, and is not a checkpoint."""


def write_checkpoint(path: Path, payload: Payload) -> None:
    """Replace `path` by a checkpoint.

    Raises:
        OSError: the file cannot be written, as on a full disk.
    """
    with replacing(path) as temporary:
        try:
            with temporary.open("wb") as file:
                torch.save({"version": VERSION, **payload}, file)
        except RuntimeError as error:
            # torch hides the reason behind an error of its own.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_valid(path: Path) -> Payload | None:
    """Load a checkpoint; rename it and return None where it is damaged, None as well where there is none.

    Raises:
        TryAgain: the volume does not answer, or memory is short; the file was not touched.
    """
    try:
        return _load(path)
    except FileNotFoundError:
        return None
    except _DamagedError as damage:
        _set_aside(path, str(damage))
        return None
    except (OSError, MemoryError) as error:
        raise passing_fault(path, error) from error


def load_chosen(path: Path) -> Payload:
    """Load a checkpoint that another rank has loaded.

    Raises:
        TryAgain: this rank cannot; the file was not touched.
    """
    try:
        return _load(path)
    except (_DamagedError, OSError, MemoryError) as error:
        raise passing_fault(path, error) from error


def passing_fault(path: Path, error: Exception) -> TryAgain:
    """What to raise where a file or folder could not be read this time."""
    return TryAgain(
        f"{path} could not be read ({_first_line(error)}), which may pass; it was not touched. Run the stage again: it "
        "goes on from there. If this stays so, see to the volume, to this user's rights and to the memory."
    )


def _load(path: Path) -> Payload:
    """Raises _DamagedError, OSError or MemoryError."""
    with path.open("rb") as file:
        if not _is_whole(file):
            _read_to_the_end(file)
            if not _is_whole(file):  # the first time, the volume may have been at fault
                raise _DamagedError("its checksums are wrong")
        file.seek(0)
        try:
            payload = torch.load(file, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception as error:  # a pickle may raise anything
            if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
                raise MemoryError(_first_line(error)) from error
            raise _DamagedError(_first_line(error)) from error
    if isinstance(payload, dict) and payload.get("version") == VERSION:
        return payload
    raise _DamagedError("it is not a checkpoint of this version")


def _is_whole(file: BinaryIO) -> bool:
    """Whether this is an archive whose checksums are all right."""
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError):
        return False
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False  # in a cut archive, a place before its beginning was looked for


def _read_to_the_end(file: BinaryIO) -> None:
    """Raises OSError where the volume does not give all of it."""
    file.seek(0)
    while file.read(_BLOCK):
        pass


def _set_aside(path: Path, reason: str) -> None:
    check_lease(path)
    target = path.with_name(f"{path.name}.damaged")
    try:
        path.replace(target)
    except FileNotFoundError:  # another process has done it
        return
    log.warning("%s cannot be read (%s) and was renamed to %s.", path, reason, target.name)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__

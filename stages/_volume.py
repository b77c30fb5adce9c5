"""Whether a volume does what stages need of it: write, flush, rename over a file, read back, for others of the group.

`doctor` shows all of it, `plan` and the entrypoints take the faults. It leaves nothing behind. How stages write is told
in `espnet3.runtime.files`.
"""

import grp
import os
import pwd
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from espnet3.runtime.files import write_bytes
from espnet3.runtime.temporaries import temporary_path

RATE_SECONDS = 1.0
SLOW = 20
"""Small files a second below which a corpus of many files takes hours."""
LITTLE_ROOM = 64 * 2**20
"""Bytes that are fewer than what any stage writes."""


def nearest(path: Path) -> Path:
    """`path`, or the nearest folder above it that exists."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if place.exists())


def find_faults(directory: Path) -> list[str]:
    """Why stages cannot use the volume of this folder, in the user's words; empty when they can."""
    try:
        with _probe(directory) as folder:
            faults = [*_write_and_read(folder), *_make_for_the_group(folder)]
    except OSError as error:
        who = f"the folder belongs to {_owners(directory)}; this process is {_you()}"
        return [f"cannot be written ({error.strerror}); {who}. {_cure(error)}"]
    return [*faults, *_room(directory)]


def describe(directory: Path) -> dict[str, str]:
    """What there is to know about the folder's volume, by name."""
    usage = shutil.disk_usage(directory)
    files = os.statvfs(directory)
    return {
        "file system": file_system(directory),
        "the folder belongs to": _owners(directory),
        "this process is": _you(),
        "free": f"{_size(usage.free)} of {_size(usage.total)}",
        "free inodes": f"{files.f_favail:,}" if files.f_files else "the file system does not count them",
    }


def small_files_a_second(directory: Path) -> float:
    """Files that can be written as stages write them, each flushed and renamed."""
    with _probe(directory) as folder:
        start, count = time.monotonic(), 0
        while time.monotonic() - start < RATE_SECONDS:
            write_bytes(folder / f"{count}", b"x" * 1024)
            count += 1
        return count / (time.monotonic() - start)


def file_system(directory: Path) -> str:
    """Type, source and options of the mount that holds the folder."""
    best = ("", "unknown")
    with suppress(OSError):
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
            source, place, kind, options = line.split()[:4]
            place = place.replace("\\040", " ")
            if directory.resolve().is_relative_to(place) and len(place) >= len(best[0]):
                best = (place, f"{kind} ({source} on {place}, {options})")
    return best[1]


@contextmanager
def _probe(directory: Path) -> Iterator[Path]:
    folder = temporary_path(directory / "probe")
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_and_read(folder: Path) -> Iterator[str]:
    file = folder / "file"
    for content in (b"first", b"second"):
        write_bytes(file, content)
        if (read := file.read_bytes()) != content:
            yield f"gives back other bytes ({read!r}) than were written ({content!r}): do not trust it with results"
    if [path.name for path in folder.iterdir()] != ["file"]:
        yield "does not replace a file when one is renamed over it; stages need a volume that does (POSIX rename)"


def _make_for_the_group(folder: Path) -> Iterator[str]:
    (folder / "folder").mkdir()
    if os.umask(os.umask(0o002)) != 0o002:
        return  # the caller wants it otherwise
    for what, path in {"files": folder / "file", "folders": folder / "folder"}.items():
        if not path.stat().st_mode & 0o020:
            yield (
                f"makes {what} that the group cannot write, although the umask allows it: a stage that runs as another "
                "user of the group cannot go on; mount it without a umask of its own"
            )


def _room(directory: Path) -> Iterator[str]:
    if (free := shutil.disk_usage(directory).free) < LITTLE_ROOM:
        yield f"has {_size(free)} free; make room"


def _owners(directory: Path) -> str:
    status = directory.stat()
    return f"{_name(status.st_uid, status.st_gid)}, mode {status.st_mode & 0o7777:04o}"


def _you() -> str:
    others = sorted(set(os.getgroups()) - {os.getgid()})
    groups = f", further groups {', '.join(map(str, others))}" if others else ""
    return f"{_name(os.getuid(), os.getgid())}{groups}"


def _name(uid: int, gid: int) -> str:
    user, group = str(uid), str(gid)
    with suppress(KeyError):
        user += f" ({pwd.getpwuid(uid).pw_name})"
    with suppress(KeyError):
        group += f" ({grp.getgrgid(gid).gr_name})"
    return f"uid {user} and gid {group}"


def _cure(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "Make it writable for one of these groups (chmod g+ws, fsGroup or supplementalGroups in Kubernetes)."
    return "Make room, or mount it writable."


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB"

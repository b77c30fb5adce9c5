"""Names of temporary files and of backups, and what becomes of those that a killed process left.

`files` writes under these names and renames; `leases` restores the backup of a directory before it is owned. A
temporary path is `.<name>.<pid>.<random>.tmp`, a backup `.<name>.<pid>.<random>.old.tmp`. Who may write is not known
here.
"""

import errno
import glob
import os
import re
import secrets
import shutil
from pathlib import Path

TEMPORARY = re.compile(r"\..+\.\d+\.[0-9a-f]{8}\.tmp")
BACKUP = re.compile(r"\.(.+)\.\d+\.[0-9a-f]{8}\.old\.tmp")
IN_THE_WAY = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)
"""What a rename of a folder says where there is something of the new name."""
_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def temporary_path(path: Path, suffix: str = "tmp") -> Path:
    """A new name beside `path`, under which it is written or backed up."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.{suffix}")


def restore_backup(path: Path) -> None:
    """Rename the backup that a killed writer left of folder `path` back, unless there is another folder now."""
    for backup in path.parent.glob(f".{glob.escape(path.name)}.*.old.tmp"):
        match = BACKUP.fullmatch(backup.name)
        if match is None or match[1] != path.name or (path.exists() and not backup.is_dir()):
            continue
        try:
            backup.rename(path)  # a name that is free, or an empty folder
        except OSError as error:
            if error.errno not in (*IN_THE_WAY, errno.ENOENT):
                raise


def restore(taken: Path, path: Path) -> None:
    """Rename `taken` back to `path`, unless there is something of that name again."""
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


def delete(path: Path) -> None:
    """Delete a file, a link, or a folder with all that is in it."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def name_file(error: OSError, path: Path) -> None:
    """Tell in an error of writing, which names no file itself, that it was this one."""
    if error.errno in _OF_WRITING and error.filename is None:
        error.filename = str(path)

"""Backups of earlier trainings: which there are, and removing those that are named or old.

A training that starts anew under other settings keeps the finished one as `checkpoints.<n>` (see
`espnet3.components.training.record`); nothing else removes it. The plan lists them; `run.py --prune` and
`python -m stages prune` remove them.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet3.errors import ConfigError
from espnet3.pipeline.spec import System
from espnet3.runtime.files import remove
from espnet3.runtime.leases import LEASE_FILE, lease

_AGE = re.compile(r"(\d+)d")
_DAY = 24 * 3600


@dataclass(frozen=True)
class Backup:
    """A folder that a stage has put away."""

    path: Path
    size: int
    """Bytes of all its files."""
    days: float
    """Since anything in it was last written."""

    def __str__(self) -> str:
        return f"{self.path} ({_shown(self.size)}, {self.days:.0f} days old)"


def find_backups(system: System, stages: Sequence[str]) -> list[Backup]:
    """What `stages` have put away, each once."""
    paths = dict.fromkeys(path for stage in stages for path in system.backups(stage))
    return [_look_at(path) for path in paths]


def choose_backups(backups: Sequence[Backup], wanted: Sequence[str]) -> list[Backup]:
    """Those that are wanted.

    Args:
        backups: those that there are.
        wanted: names (`checkpoints.1`) or paths of backups, or ages: `30d` stands for all that are at least so old.

    Raises:
        ConfigError: there is none of a name; names those that there are.
    """
    chosen: list[Backup] = []
    for name in wanted:
        if age := _AGE.fullmatch(name):
            chosen += [backup for backup in backups if backup.days >= int(age[1])]
            continue
        named = [backup for backup in backups if name in (backup.path.name, str(backup.path))]
        if not named:
            there = "\n  ".join(map(str, backups)) or "none"
            raise ConfigError(f"There is no backup {name!r}. Name one of these, or an age such as 30d:\n  {there}")
        chosen += named
    return list(dict.fromkeys(chosen))


def remove_backup(backup: Backup) -> None:
    """Delete a backup.

    Raises:
        LostLease: another process is deleting it.
    """
    with lease(
        backup.path.parent, name=f"{LEASE_FILE}.{backup.path.name}"
    ):  # not that of a training that may run there
        remove(backup.path)


def _look_at(path: Path) -> Backup:
    files = [file.stat() for file in path.rglob("*") if file.is_file()]
    newest = max((each.st_mtime for each in files), default=path.stat().st_mtime)
    return Backup(path, sum(each.st_size for each in files), (time.time() - newest) / _DAY)


def _shown(size: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:,.3g} GiB"

"""`python -m stages prune --config FILE`: removes the backups of earlier trainings that ESPNET3_PRUNE names.

Whoever keeps a volume tidy calls it, by hand or on a schedule; it asks nobody. run.py has `--prune`, which does.
"""

import sys
from pathlib import Path

from espnet3.errors import ConfigError
from espnet3.pipeline.prune import choose_backups, find_backups, remove_backup
from stages import _environment
from stages._run import opened


def prune(path: Path) -> list[str]:
    """Remove what the environment names; the paths.

    Raises:
        ConfigError: nothing is named, or something that is not there; names the backups that there are.
    """
    with opened(path) as opened_run:
        run = opened_run.whole
        backups = find_backups(run.system, run.stages)
        wanted = _environment.names_in("ESPNET3_PRUNE")
        if not wanted:
            there = "\n  ".join(map(str, backups)) or "none"
            raise ConfigError(f"ESPNET3_PRUNE names no backup and no age such as 30d. There are:\n  {there}")
        chosen = choose_backups(backups, wanted)
        for backup in chosen:
            remove_backup(backup)
            sys.stdout.write(f"removed {backup}\n")
        return [str(backup.path) for backup in chosen]

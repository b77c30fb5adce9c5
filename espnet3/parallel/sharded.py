"""Stages that can be divided: the whole in one process, one shard of it, or putting the shards together.

`infer` and `collect_stats` describe their work as runners and come here; which part this process does, `current_shard`
says. What shards have finished, the partial outputs, lies in one folder beside the outputs until it is merged: any
stage that reads the outputs can find it there and merge it. Writing the outputs is up to the stage.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from espnet3.errors import TryAgain
from espnet3.parallel.runner import Runner
from espnet3.pipeline.fingerprint import forced
from espnet3.pipeline.shard import current_shard
from espnet3.runtime.files import remove, remove_leftovers, write_text
from espnet3.runtime.leases import LEASE_FILE, lease
from espnet3.runtime.progress import track

log = logging.getLogger(__name__)

PARTIAL = ".unfinished"
"""Folder in a stage's directory of what is finished before all of it is."""
SHARD_COUNT = "shards.json"
"""In that folder: into how many shards the stage was divided; not there where it was not."""


@contextmanager
def leased_partials(directory: Path | str) -> Iterator[Path]:
    """Own a stage's directory, or, as a shard, this shard of it; yields the folder of the partial outputs.

    Shards write side by side; the whole and the merge write alone, and what killed ones left is removed for them.
    """
    directory = Path(directory)
    partials = directory / PARTIAL
    shard = current_shard()
    if shard is not None and not shard.is_merge:
        with lease(partials, name=f"{LEASE_FILE}.shard{shard.index}"):
            _record_count(partials, shard.count)
            yield partials
        return
    with lease(directory):
        remove_leftovers(directory)
        if forced() and shard is None:
            remove(partials)
        yield partials


def run_shard(runners: Sequence[Runner], shards: int, partials: Path) -> bool:
    """Do this process's part of the work; whether the results of all runners are there to be read (`results`).

    Args:
        runners: the work.
        shards: tasks for the processes of this machine, where this one does the whole.
        partials: as `leased_partials` yields it.

    Raises:
        TryAgain: shards are missing; names them.
        Exception: what the work raised.
    """
    shard = current_shard()
    if shard is None:
        for runner, within in _with_progress(runners, 0, 1):
            runner.run_remaining(shards, within)
        return True
    if shard.index is not None:
        for runner, within in _with_progress(runners, shard.index, shard.count):
            left = len(runner.left_of(shard.index, shard.count))
            label = f"{runner.label}, shard {shard.index} of {shard.count}"
            for _ in track(runner.shard(shard.index, shard.count), left, label, within, runner.size):
                pass
        return False
    _insist(runners, _recorded_count(partials) or shard.count, partials)
    return True


def _with_progress(runners: Sequence[Runner], index: int, count: int) -> Iterator[tuple[Runner, tuple[int, int]]]:
    """Each runner, with the items of this shard that are done when it begins, and those of all runners."""
    sizes = [sum(map(runner.size, runner.range_of(index, count))) for runner in runners]
    for place, runner in enumerate(runners):
        left = sum(map(runner.size, runner.left_of(index, count)))
        yield runner, (sum(sizes[: place + 1]) - left, sum(sizes))


def _insist(runners: Sequence[Runner], count: int, partials: Path) -> None:
    if missing := sorted({index for runner in runners for index in runner.missing(count)}):
        raise TryAgain(
            f"Of {count} shards (counted from 0), these are not finished in {partials}: "
            f"{', '.join(map(str, missing))}. Run them, then merge again."
        )
    log.info("Merging %d shards.", count)


def _record_count(partials: Path, count: int) -> None:
    if _recorded_count(partials) != count:
        write_text(partials / SHARD_COUNT, json.dumps({"count": count}) + "\n")


def _recorded_count(partials: Path) -> int | None:
    try:
        return int(json.loads((partials / SHARD_COUNT).read_text(encoding="utf-8"))["count"])
    except (OSError, ValueError, KeyError, TypeError):
        return None

"""Whose training a folder holds: the fingerprint that its checkpoints belong to, and what to do with what is found.

The training stage asks before its first work. Checkpoints of two different trainings never mix.
"""

import itertools
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet3.errors import ConfigError, DataError
from espnet3.pipeline.fingerprint import differences
from espnet3.runtime.files import remove, write_text
from espnet3.runtime.leases import check_lease

log = logging.getLogger(__name__)

FOLDER = "checkpoints"
RECORD = "training.json"
AVERAGED = "averaged.safetensors"
KEPT = "files"
"""Folder of the files that the trained model reads beside its weights."""
PRODUCTS = ("averaged.json", AVERAGED, "metrics.csv", "loss.svg", "tensorboard", "config.yaml", KEPT)
MOST_SHOWN = 10


@dataclass(frozen=True)
class TrainingRecord:
    """What a training depends on."""

    fingerprint: str
    covered: Mapping[str, Any]


def open_training(exp_dir: Path, record: TrainingRecord, resume: str, forced: bool) -> bool:
    """Make `exp_dir` ready for the training of `record`; False where that training is finished.

    Args:
        exp_dir: the training's directory.
        record: this training.
        resume: `same` or `continue`, as in `trainer.resume`.
        forced: start over whatever is found.

    Raises:
        ConfigError: an unfinished training of other settings is there, and `resume` is `same`.
        DataError: the record is damaged, and the checkpoints are not of this training.
    """
    try:
        earlier = read_record(exp_dir)
    except ValueError as error:
        earlier = None if forced else _recovered(exp_dir, record, error)
    same = earlier is not None and earlier.fingerprint == record.fingerprint
    if same and not forced:
        return not is_finished(exp_dir, record.fingerprint)
    if earlier is not None and not forced and resume == "continue":
        log.warning("Going on with changed settings: %s.", shown_differences(earlier, record))
    elif earlier is not None and not forced and has_begun(exp_dir) and not is_finished(exp_dir, earlier.fingerprint):
        raise ConfigError(
            f"{exp_dir} holds an unfinished training with other settings ({shown_differences(earlier, record)}). "
            "Choose another exp_tag; or start over with --force, which sets the old checkpoints aside; or go on from "
            "them with the new settings by trainer.resume: continue."
        )
    else:
        set_aside(exp_dir, _reason(earlier, record, forced))
    write_record(exp_dir, record)
    return True


def _reason(earlier: TrainingRecord | None, record: TrainingRecord, forced: bool) -> str:
    if forced:
        return "--force"
    return shown_differences(earlier, record) if earlier else f"{RECORD} is gone"


def _recovered(exp_dir: Path, record: TrainingRecord, error: ValueError) -> TrainingRecord | None:
    """The record in the place of a damaged one: the checkpoints know their fingerprint, too."""
    from espnet3.components.training.checkpoints import Checkpoints

    path = exp_dir / FOLDER / RECORD
    if not has_begun(exp_dir):
        return None
    payload = Checkpoints(exp_dir / FOLDER, 1, "min").newest()
    if payload is None or payload["fingerprint"] != record.fingerprint:
        raise DataError(
            f"{path} cannot be read ({error}), and the checkpoints beside it are not of this training. Choose another "
            "exp_tag; or start over with --force, which sets the old checkpoints aside."
        )
    log.warning(
        "%s cannot be read (%s); it was written anew, because the checkpoints are of this training.", path, error
    )
    write_record(exp_dir, record)
    return record


def has_begun(exp_dir: Path) -> bool:
    """Whether there is a checkpoint to lose; a training that failed before has none."""
    return any((exp_dir / FOLDER).glob("*.ckpt"))


def is_finished(exp_dir: Path, fingerprint: str) -> bool:
    """Whether the training of this fingerprint has written its averaged weights."""
    about = exp_dir / "averaged.json"
    if not about.exists() or not (exp_dir / AVERAGED).exists():
        return False
    try:
        return bool(json.loads(about.read_text(encoding="utf-8"))["fingerprint"] == fingerprint)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be read (%s): the best checkpoints are averaged again.", about, error)
        return False


def read_record(exp_dir: Path) -> TrainingRecord | None:
    """The training that `exp_dir` holds.

    Raises:
        ValueError: the record is damaged.
    """
    path = exp_dir / FOLDER / RECORD
    if not path.exists():
        return None
    try:
        return TrainingRecord(**json.loads(path.read_text(encoding="utf-8")))
    except TypeError as error:
        raise ValueError(f"it is not a record: {error}") from None


def write_record(exp_dir: Path, record: TrainingRecord) -> None:
    """Say whose training `exp_dir` holds."""
    content = {"fingerprint": record.fingerprint, "covered": dict(record.covered)}
    write_text(exp_dir / FOLDER / RECORD, json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def shown_differences(earlier: TrainingRecord, record: TrainingRecord) -> str:
    """The settings that differ, the first few of them."""
    found = differences(earlier.covered, record.covered)
    more = f"; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return "; ".join(found[:MOST_SHOWN]) + more


def next_backup(exp_dir: Path) -> Path | None:
    """Where a training that is there goes when another one starts, the first free `checkpoints.<n>`."""
    if not has_begun(exp_dir):
        return None
    free = (exp_dir / f"{FOLDER}.{number}" for number in itertools.count(1))
    return next(place for place in free if not place.exists())


def set_aside(exp_dir: Path, why: str) -> None:
    """Move the checkpoints and all that came of them to `next_backup`."""
    folder, target = exp_dir / FOLDER, next_backup(exp_dir)
    if target is None:
        return
    check_lease(folder)
    for product in PRODUCTS:  # first, so that whoever is killed in between sets them aside all the same
        if (exp_dir / product).exists():
            remove(folder / product)
            (exp_dir / product).rename(folder / product)
    folder.rename(target)
    log.warning("The training starts anew (%s). The earlier one is kept in %s.", why, target)

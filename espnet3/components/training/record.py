"""Whose training a folder holds: the inputs that its checkpoints belong to, and what to do with what is found.

The training stage asks before its first work, with the inputs of the stage (`espnet3.pipeline.fingerprint`).
Checkpoints of two different trainings never mix: a finished one is kept as a backup, an unfinished one is refused.
Whether the stage is done is not known here: see `espnet3.pipeline.done`.
"""

import itertools
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from espnet3.errors import ConfigError, DataError
from espnet3.pipeline.difference import differences
from espnet3.pipeline.fingerprint import FingerprintInputs
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
    """What the checkpoints in a folder depend on."""

    inputs: FingerprintInputs
    finished: bool = False
    """Whether the training has come to its end."""


def open_training(exp_dir: Path, inputs: FingerprintInputs, resume: str, forced: bool) -> None:
    """Make `exp_dir` ready for a training.

    Args:
        exp_dir: the training's directory.
        inputs: what this training depends on.
        resume: `same` or `continue`, as in `trainer.resume`.
        forced: start over whatever is found.

    Raises:
        ConfigError: an unfinished training of other settings is there, and `resume` is `same`.
        DataError: the record is damaged, and the checkpoints are not of this training.
    """
    try:
        earlier = read_record(exp_dir)
    except ValueError as error:
        earlier = None if forced else _recovered(exp_dir, inputs, error)
    if earlier is not None and earlier.inputs.fingerprint == inputs.fingerprint and not forced:
        return
    if earlier is not None and not forced and resume == "continue":
        log.warning("Going on with changed settings: %s.", shown_differences(earlier.inputs, inputs))
    elif earlier is not None and not forced and has_begun(exp_dir) and not earlier.finished:
        raise ConfigError(
            f"{exp_dir} holds an unfinished training with other settings ({shown_differences(earlier.inputs, inputs)})."
            " Choose another exp_tag; or start over with --force, which keeps the old checkpoints as a backup; or go on"
            " from them with the new settings by trainer.resume: continue."
        )
    else:
        back_up(exp_dir, _reason(earlier, inputs, forced))
    write_record(exp_dir, TrainingRecord(inputs))


def close_training(exp_dir: Path, inputs: FingerprintInputs) -> None:
    """Say that the training has come to its end: another one may take its place."""
    write_record(exp_dir, TrainingRecord(inputs, finished=True))


def _reason(earlier: TrainingRecord | None, inputs: FingerprintInputs, forced: bool) -> str:
    if forced:
        return "--force"
    return shown_differences(earlier.inputs, inputs) if earlier else f"{RECORD} is gone"


def _recovered(exp_dir: Path, inputs: FingerprintInputs, error: ValueError) -> TrainingRecord | None:
    """The record in the place of a damaged one: the checkpoints know their fingerprint, too."""
    from espnet3.components.training.checkpoints import Checkpoints

    path = exp_dir / FOLDER / RECORD
    if not has_begun(exp_dir):
        return None
    payload = Checkpoints(exp_dir / FOLDER, 1, "min").newest()
    if payload is None or payload["fingerprint"] != inputs.fingerprint:
        raise DataError(
            f"{path} cannot be read ({error}), and the checkpoints beside it are not of this training. Choose another "
            "exp_tag; or start over with --force, which keeps the old checkpoints as a backup."
        )
    log.warning(
        "%s cannot be read (%s); it was written anew, because the checkpoints are of this training.", path, error
    )
    write_record(exp_dir, TrainingRecord(inputs))
    return TrainingRecord(inputs)


def has_begun(exp_dir: Path) -> bool:
    """Whether there is a checkpoint to lose; a training that failed before has none."""
    try:
        return any(name.endswith(".ckpt") for name in os.listdir(exp_dir / FOLDER))  # noqa: PTH208  # hides no error
    except (FileNotFoundError, NotADirectoryError):
        return False


def read_record(exp_dir: Path) -> TrainingRecord | None:
    """The training that `exp_dir` holds.

    Raises:
        ValueError: the record is damaged, or of a version before.
    """
    path = exp_dir / FOLDER / RECORD
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        return TrainingRecord(FingerprintInputs.from_json(plain["inputs"]), bool(plain["finished"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"it is not a record: {error}") from None


def write_record(exp_dir: Path, record: TrainingRecord) -> None:
    """Say whose training `exp_dir` holds."""
    content = {"inputs": record.inputs.to_json(), "finished": record.finished}
    write_text(exp_dir / FOLDER / RECORD, json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def shown_differences(earlier: FingerprintInputs, now: FingerprintInputs) -> str:
    """What differs, the first few of it."""
    found = differences(earlier, now)
    more = f"; and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return "; ".join(found[:MOST_SHOWN]) + more


def next_backup(exp_dir: Path) -> Path | None:
    """Where a training that is there goes when another one starts, the first free `checkpoints.<n>`."""
    if not has_begun(exp_dir):
        return None
    free = (exp_dir / f"{FOLDER}.{number}" for number in itertools.count(1))
    return next(place for place in free if not place.exists())


def backups_in(exp_dir: Path) -> list[Path]:
    """The trainings that were put away, oldest first."""
    found = (path for path in exp_dir.glob(f"{FOLDER}.*") if path.suffix[1:].isdigit() and path.is_dir())
    return sorted(found, key=lambda path: int(path.suffix[1:]))


def back_up(exp_dir: Path, why: str) -> None:
    """Move the checkpoints and all that came of them to `next_backup`."""
    folder, target = exp_dir / FOLDER, next_backup(exp_dir)
    if target is None:
        return
    check_lease(folder)
    for product in PRODUCTS:  # first, so that whoever is killed in between moves them all the same
        if (exp_dir / product).exists():
            remove(folder / product)
            (exp_dir / product).rename(folder / product)
    folder.rename(target)
    log.warning("The training starts anew (%s). The earlier one is kept in %s.", why, target)

"""The figures that a stage is run for, as its outcome tells them: read from what the stage has written, never computed.

The entrypoint asks `result_of` once a stage is done. Stages whose product is files alone have none; neither has a
System that writes other files, for a result is told and not needed.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.pipeline.paths import expand
from espnet3.pipeline.spec import System, slots_of
from espnet3.recipe.summary import read_scores
from espnet3.systems.base.stage_specs import STATS


def result_of(system: System, stage: str) -> Any:
    """The figures of a stage that is done; None where it has none, or they cannot be read."""
    read = _READERS.get(stage)
    with suppress(OSError, ValueError, LookupError, TypeError):
        return read(system) if read else None
    return None


def _data(system: System) -> Any:
    """Hours and utterances of each split."""
    (summary,) = expand([f"{STATS}/summary.json"], slots_of(system))
    splits = _json(summary)
    return {name: {key: split[key] for key in ("hours", "utterances")} for name, split in splits.items()}


def _training(system: System) -> Any:
    """How far the training went, and the best value of what it is judged by."""
    about = _json(_directory(system.training_config, "exp_dir") / "averaged.json")
    best = {"min": min, "max": max}[about["mode"]](member["score"] for member in about["members"])
    epochs = sorted(member["epoch"] for member in about["members"])
    return {"step": about["step"], about["criterion"]: best, "averaged_epochs": epochs}


def _speeds(system: System) -> Any:
    """Utterances, real-time factor and backend of each test set."""
    files = sorted(_directory(system.inference_config, "inference_dir").glob("*/timing.json"))
    kept = ("utterances", "real_time_factor", "backend")
    return {file.parent.name: {key: _json(file)[key] for key in kept} for file in files} or None


_READERS: Mapping[str, Callable[[System], Any]] = {
    "collect_stats": _data,
    "train": _training,
    "infer": _speeds,
    "measure": read_scores,
}


def _directory(config: DictConfig | None, key: str) -> Path:
    return Path(OmegaConf.select(config, key)) if config is not None else Path()


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))

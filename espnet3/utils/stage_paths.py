"""Where a stage's inputs and outputs are: the path templates of a `StageSpec`, filled in from the configs.

`done`, `plan` and `preflight` ask here. A key that a config lacks makes no path: whether it should be there is a
matter for the checks.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.utils.fingerprint import find
from espnet3.utils.stage_spec import StageSpec, System, slots_of

Slots = Mapping[str, DictConfig | None]
_PLACE = re.compile(r"\{([^}]+)\}")


def expand(templates: Iterable[str], slots: Slots) -> list[Path]:
    """The paths that the templates stand for, without repetitions; a `*` makes one for each entry."""
    plain = {slot: OmegaConf.to_container(config, resolve=True) for slot, config in slots.items() if config is not None}
    paths = (path for template in templates for path in _expand(template, plain))
    return list(dict.fromkeys(paths))


def record_path(spec: StageSpec, stage: str, slots: Slots) -> Path | None:
    """Where the done record of `stage` lies; None for a stage that keeps none and therefore always runs."""
    if not spec.log_dir or not spec.reads:
        return None
    found = expand([f"{{{spec.log_dir}}}"], slots)
    return found[0] / ".done" / f"{stage}.json" if found else None


def makers(system: System, wanted: Path) -> list[str]:
    """The stages that make `wanted`: those that declare it or part of it, else those with a folder around it."""
    slots = slots_of(system)
    outputs = {stage: expand(spec.outputs, slots) for stage, spec in system.stage_specs.items()}
    exact = [stage for stage, paths in outputs.items() if any(_holds(wanted, path) for path in paths)]
    return exact or [stage for stage, paths in outputs.items() if any(_holds(path, wanted) for path in paths)]


def _holds(folder: Path, path: Path) -> bool:
    return path.absolute().is_relative_to(folder.absolute())


def _expand(template: str, plain: Mapping[str, Any]) -> list[Path]:
    parts = _PLACE.split(template)
    choices = [find(plain, part.split(".")) if place % 2 else [part] for place, part in enumerate(parts)]
    chosen = (combination for combination in itertools.product(*choices) if None not in combination)
    return [Path("".join(str(part) for part in combination)) for combination in chosen]

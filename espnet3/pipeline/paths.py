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

from espnet3.pipeline.fingerprint import find
from espnet3.pipeline.spec import StageSpec, System, slots_of

Slots = Mapping[str, DictConfig | None]
_PLACE = re.compile(r"\{([^}]+)\}")


def expand(templates: Iterable[str], slots: Slots) -> list[Path]:
    """The paths that the templates stand for, without repetitions; a `*` makes one for each entry."""
    paths = (path for template in templates for path in _expand(template, slots))
    return list(dict.fromkeys(paths))


def record_path(spec: StageSpec, stage: str, slots: Slots) -> Path | None:
    """Where the done record of `stage` lies; None for a stage that keeps none and therefore always runs."""
    if not spec.log_dir or not spec.reads:
        return None
    found = expand([f"{{{spec.log_dir}}}"], slots)
    return found[0] / ".done" / f"{stage}.json" if found else None


def outputs_of(system: System) -> dict[str, list[Path]]:
    """What each stage makes."""
    slots = slots_of(system)
    return {stage: expand(spec.outputs, slots) for stage, spec in system.stage_specs.items()}


def makers(outputs: Mapping[str, list[Path]], wanted: Path) -> list[str]:
    """The stages that make `wanted`: those that declare it or part of it, else those with a folder around it.

    Args:
        outputs: as `outputs_of` gives them.
        wanted: a file or folder.
    """
    exact = [stage for stage, paths in outputs.items() if any(_holds(wanted, path) for path in paths)]
    return exact or [stage for stage, paths in outputs.items() if any(_holds(path, wanted) for path in paths)]


def _holds(folder: Path, path: Path) -> bool:
    return path.absolute().is_relative_to(folder.absolute())


def _expand(template: str, slots: Slots) -> list[Path]:
    parts = _PLACE.split(template)
    choices = [_values(part, slots) if place % 2 else [part] for place, part in enumerate(parts)]
    chosen = (combination for combination in itertools.product(*choices) if None not in combination)
    return [Path("".join(str(part) for part in combination)) for combination in chosen]


def _values(reference: str, slots: Slots) -> list[Any]:
    """The values of `SLOT.KEY`; of the config, only the part before a `*` is made plain, because that takes long."""
    slot, _, key = reference.partition(".")
    head, star, _ = key.partition(".*")
    config = slots.get(slot)
    node = None if config is None else OmegaConf.select(config, head)
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    return find(plain, key.removeprefix(f"{head}.").split(".")) if star else [plain]

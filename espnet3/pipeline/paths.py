"""Where a stage's inputs and outputs are: the path templates of a `StageSpec`, filled in from the configs.

`fingerprint`, `done`, `plan` and `preflight` ask here. A key that a config lacks makes no path: for whether it should
be there, see the checks.
"""

import glob
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from espnet3.pipeline.settings import SPECS, Slots, find, product_key
from espnet3.pipeline.spec import StageSpec, System, slots_of

_PLACE = re.compile(r"\{([^}]+)\}")


def expand(templates: Iterable[str], slots: Slots) -> list[Path]:
    """The paths that the templates stand for, without repetitions; a `*` in braces makes one for each entry."""
    paths = (path for template in templates for path in _expand(template, slots))
    return list(dict.fromkeys(paths))


def found_by(template: str, slots: Slots) -> Iterator[tuple[str, Path]]:
    """What there is of a template whose `*` outside of braces stands for any name: each path with a name for it.

    The name tells the paths of a template apart and is the same wherever the folder lies. Where the template has no
    such `*`, the path need not exist. One that ends with a slash stands for folders alone.
    """
    if "*" not in _PLACE.sub("", template):
        for number, path in enumerate(expand([template], slots)):
            yield f"{template} {number}", path
        return
    for pattern in _expand(template, slots, glob.escape):
        for name in sorted(glob.glob(str(pattern))):  # noqa: PTH207  # the pattern may be absolute
            path = Path(name)
            if path.is_dir() or not template.endswith("/"):
                yield f"{template} {path.parent.name}/{path.name}", path


def record_path(spec: StageSpec, stage: str, slots: Slots) -> Path | None:
    """Where the done record of `stage` lies; None for a stage that keeps none and therefore always runs."""
    if not spec.log_dir or not spec.reads:
        return None
    found = expand([f"{{{spec.log_dir}}}"], slots)
    name = f"{stage}-{product_key(spec, slots)}" if spec.named_by else stage
    return found[0] / ".done" / f"{name}.json" if found else None


def product_path(path: str, name: str) -> str:
    """Where a product lies whose setting says `path`: in a folder beside it, unless a file was given by hand."""
    return path if Path(path).is_file() else str(Path(path).parent / name / Path(path).name)


def outputs_of(system: System) -> dict[str, list[Path]]:
    """What each stage makes, and the folders that it works in."""
    slots = slots_of(system)
    specs = system.stage_specs.items()
    return {stage: expand((*spec.folders, *map(fixed_part, spec.outputs)), slots) for stage, spec in specs}


def makers(outputs: Mapping[str, list[Path]], wanted: Path) -> list[str]:
    """The stages that make `wanted`: those that declare it or part of it, else those with a folder around it.

    Args:
        outputs: as `outputs_of` gives them.
        wanted: a file or folder.
    """
    exact = [stage for stage, paths in outputs.items() if any(_holds(wanted, path) for path in paths)]
    return exact or [stage for stage, paths in outputs.items() if any(_holds(path, wanted) for path in paths)]


def fixed_part(template: str) -> str:
    """A template up to the folder before its first `*` outside of braces."""
    parts = template.split("/")
    return "/".join(itertools.takewhile(lambda part: "*" not in _PLACE.sub("", part), parts))


def _holds(folder: Path, path: Path) -> bool:
    return path.absolute().is_relative_to(folder.absolute())


def _expand(template: str, slots: Slots, escape: Any = str) -> list[Path]:
    parts = _PLACE.split(template)
    choices = [_values(part, slots) if place % 2 else [part] for place, part in enumerate(parts)]
    chosen = (combination for combination in itertools.product(*choices) if None not in combination)
    return [
        Path("".join(escape(str(part)) if place % 2 else str(part) for place, part in enumerate(combination)))
        for combination in chosen
    ]


def _values(reference: str, slots: Slots) -> list[Any]:
    """What stands for the text in braces.

    `SLOT.KEY` is a value, `@STAGE` the name of what that stage makes, and `SLOT.KEY@STAGE` a file of it: the path that
    the setting gives, in a folder of that name, unless somebody has put a file at the path itself.
    """
    key, at, stage = reference.partition("@")
    if not at:
        return _values_of_key(key, slots)
    name = product_key(slots[SPECS][stage], slots)
    return [name] if not key else [product_path(value, name) for value in _values_of_key(key, slots) if value]


def _values_of_key(reference: str, slots: Slots) -> list[Any]:
    """The values of `SLOT.KEY`; of the config, only the part before a `*` is made plain, because that takes long."""
    slot, _, key = reference.partition(".")
    head, star, _ = key.partition(".*")
    config = slots.get(slot)
    node = None if config is None else OmegaConf.select(config, head)
    plain = OmegaConf.to_container(node, resolve=True) if OmegaConf.is_config(node) else node
    return find(plain, key.removeprefix(f"{head}.").split(".")) if star else [plain]

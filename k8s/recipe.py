"""From a recipe's folder and the flags of run.py to the run config that a workflow carries.

`python -m k8s` calls it. It makes the checks of run.py that need no volume, with the same functions, so that what
run.py would refuse is never submitted. What is on the volume, the plan step checks there.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet3.config.checks import check_slots
from espnet3.config.findings import Finding
from espnet3.config.slot_names import SLOTS
from espnet3.config.slots import load_slots
from espnet3.errors import ConfigError
from espnet3.pipeline.preflight import check_names, check_needs
from espnet3.recipe.recipe import Recipe, load_recipe
from espnet3.recipe.run_config import RunConfig, build_run_config


def read_run_config(recipe_dir: Path, stages: Sequence[str], files: Mapping[str, Path | None]) -> RunConfig:
    """The run config of a recipe.

    Args:
        recipe_dir: the recipe's folder.
        stages: those to run, in any order; empty for all.
        files: {slot: YAML file}; None for the recipe's own `conf/<slot>.yaml` where there is one.

    Raises:
        ConfigError: names everything that is wrong with the recipe, its stages and its configs.
    """
    recipe = load_recipe(recipe_dir)
    # Relative paths in configs mean the recipe's folder, as they do for run.py.
    found = {slot: _config_file(slot, files.get(slot), recipe.dir) for slot in SLOTS}
    with contextlib.chdir(recipe.dir), recipe.activated():
        return _build(recipe, list(stages) or list(recipe.stages), found)


def _build(recipe: Recipe, asked: list[str], files: Mapping[str, Path | None]) -> RunConfig:
    further = [stage for stage in asked if stage not in recipe.stages]
    stages = [stage for stage in recipe.stages if stage in asked] + further
    findings = check_names(recipe.system_cls, stages, recipe.stages)
    findings += _missing(files) + check_needs(recipe.system_cls, stages, files)
    _refuse(findings)
    slots = load_slots(files)
    _refuse(check_slots(recipe.system_cls, slots, stages, recipe.dir))
    of_run = Recipe(recipe.name, recipe.dir, tuple(stages), recipe.system_cls, recipe.files)
    return build_run_config(of_run, slots)


def _config_file(slot: str, given: Path | None, recipe_dir: Path) -> Path | None:
    if given is not None:
        return given.absolute()
    default = recipe_dir / "conf" / f"{slot.removesuffix('_config')}.yaml"
    return default if default.is_file() else None


def _missing(files: Mapping[str, Path | None]) -> list[Finding]:
    given = {slot: path for slot, path in files.items() if path is not None and not path.is_file()}
    return [
        Finding(f"--{slot}", f"{path} does not exist; give the path of a YAML file") for slot, path in given.items()
    ]


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise ConfigError("\n".join(["nothing was made, because", *(f"  {finding}" for finding in findings)]))

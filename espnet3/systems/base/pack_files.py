"""Which files of an experiment go into a pack: an allow-list, not a copy.

`publication` calls it: weights, the config with the files that it names, statistics, licence and code. Which parts the
config has is up to the task, whose `config` copies its files with `with_own_files`.
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from espnet3.components.data.stats import load_stats
from espnet3.errors import ConfigError, DataError
from espnet3.packs.meta import CONFIG, WEIGHTS
from espnet3.recipe.recipe import recipe_folder
from espnet3.systems.base.packing import BasePacking, Experiment
from espnet3.systems.base.publication_config import PublicationConfig

STATS = "feats_stats.json"
LICENCE = "LICENSE"


def write_parts(experiment: Experiment, packing: BasePacking, pack: Path) -> dict[str, Any]:
    """Write weights, config and the files that it names, statistics and licence into the folder `pack`.

    Returns:
        The config as it was written.

    Raises:
        ConfigError: the licence or a file of code does not exist, or the config names code that is not to go along.
        DataError: the weights are missing.
    """
    weights = experiment.exp_dir / experiment.settings.pack_model.checkpoint
    if not weights.is_file():
        raise DataError(f"{weights} does not exist: there is no trained model to pack. Run train.")
    shutil.copyfile(weights, pack / WEIGHTS)
    config = packing.config(experiment, pack)
    _refuse_code_left_behind(experiment.settings, packing, config)
    (pack / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    _write_stats(experiment.training, pack)
    _copy_own(experiment.settings, pack)
    return config


def with_own_files(node: Any, pack: Path, folder: str) -> Any:
    """A part of a config, with the files that it names copied into a folder of the pack and named as they are there.

    Raises:
        ConfigError: two files have the same name.
    """
    if isinstance(node, dict):
        return {key: with_own_files(value, pack, folder) for key, value in node.items()}
    if isinstance(node, list):
        return [with_own_files(value, pack, folder) for value in node]
    if not isinstance(node, str) or not _is_file(node):
        return node
    target = pack / folder / Path(node).name
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        raise ConfigError(f"Two files of the {folder} are called {target.name}; give one of them another name.")
    shutil.copyfile(node, target)
    return f"{folder}/{target.name}"


def _refuse_code_left_behind(settings: PublicationConfig, packing: BasePacking, config: Mapping[str, Any]) -> None:
    """Here it would load all the same, with the recipe's own `src`, which nobody else has."""
    folder = recipe_folder(settings.recipe_dir)
    for (part, *place), target in _own_targets(config, ()):
        key = ".".join((packing.origins.get(part, f"training_config.{part}"), *place, "_target_"))
        name = _module_file(folder, target)
        if name is None:
            raise ConfigError(f"{key} is {target}, but {folder} has no such module. Correct the name.")
        if name not in settings.pack_model.code:
            raise ConfigError(
                f"{key} is {target}, code of the recipe that would not be in the pack: nobody could load it. Add "
                f"{name}, and what it imports of the recipe, to publication_config.pack_model.code, now "
                f"{settings.pack_model.code}."
            )


def _own_targets(node: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The `_target_`s of a config that begin with `src`, and where they stand."""
    if isinstance(node, list):
        node = {str(number): value for number, value in enumerate(node)}
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        if key == "_target_" and str(value).startswith("src."):
            yield place, str(value)
        yield from _own_targets(value, (*place, str(key)))


def _module_file(folder: Path, target: str) -> str | None:
    """The recipe's file that a dotted name leads to, of which the last part or more are names in that file."""
    parts = target.split(".")
    for length in range(len(parts) - 1, 0, -1):
        module = "/".join(parts[:length])
        for name in (f"{module}/__init__.py", f"{module}.py"):
            if (folder / name).is_file():
                return name
    return None


def _is_file(text: str) -> bool:
    try:
        return bool(text) and "\0" not in text and Path(text).is_file()
    except OSError:
        return False


def _write_stats(training: Mapping[str, Any], pack: Path) -> None:
    try:
        stats = load_stats(training["stats_dir"])
    except (DataError, KeyError):
        return  # the weights hold what the model needs of them
    content = {"mean": stats.mean.tolist(), "std": stats.std.tolist()}
    (pack / STATS).write_text(json.dumps(content) + "\n", encoding="utf-8")


def _copy_own(settings: PublicationConfig, pack: Path) -> None:
    """The licence and the recipe's own code."""
    wanted = {name: name for name in settings.pack_model.code}
    if settings.pack_model.licence_file:
        wanted[settings.pack_model.licence_file] = LICENCE
    for name, target in wanted.items():
        source = recipe_folder(settings.recipe_dir) / name
        if not source.is_file():
            raise ConfigError(
                f"publication_config.pack_model names {name}, but {source} does not exist. Correct the name."
            )
        if target != LICENCE and (not name.startswith("src/") or not name.endswith(".py") or ".." in name):
            raise ConfigError(f"publication_config.pack_model.code: {name!r} is none of the recipe's own src/*.py.")
        (pack / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, pack / target)
        if target != LICENCE:
            (pack / "src" / "__init__.py").touch()

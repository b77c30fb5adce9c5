"""Dataset references: from an entry under `dataset:` in the YAML to a dataset.

Stages call `load_datasets` for `dataset.train` and `dataset.valid` and `load_test_sets` for `dataset.test`;
create_dataset looks for builders with `import_dataset_module`. For what the entries may hold, see
`espnet3.config.sections`.
"""

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from espnet3.components.data.dataset import CombinedDataset, SpeechDataset, TransformedDataset
from espnet3.config.arguments import taken_arguments
from espnet3.config.data_sources import dataset_module
from espnet3.config.instantiate import build
from espnet3.config.sections import DatasetReference
from espnet3.errors import ConfigError, DataError
from espnet3.recipe.recipe import import_recipe_module, is_missing

_CORPUS_AND_SYSTEM = re.compile(r"[\w-]+/[\w-]+")
_DOTTED = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")


def load_datasets(
    references: Sequence[DatasetReference], recipe_dir: Path, key: str = "dataset.train"
) -> CombinedDataset:
    """The datasets of a split, end to end.

    Args:
        references: the entries under `key`.
        recipe_dir: the recipe whose own `dataset/` is meant where an entry has no `data_src`.
        key: where the entries stand, for messages.

    Raises:
        ConfigError: there is no entry, or one names no dataset, or its arguments do not fit.
        DataError: a manifest is missing.
    """
    if not references:
        raise ConfigError(f"{key} is empty: list at least one dataset.")
    return CombinedDataset(
        [load_dataset(reference, recipe_dir, f"{key}.{i}") for i, reference in enumerate(references)]
    )


def load_test_sets(
    references: Sequence[DatasetReference], recipe_dir: Path, key: str = "dataset.test"
) -> dict[str, SpeechDataset]:
    """The test sets by their names, in the order of the config.

    Raises:
        ConfigError: as `load_datasets`, or a name is missing, used twice, or no name for a folder.
        DataError: a manifest is missing.
    """
    if not references:
        raise ConfigError(f"{key} is empty: list at least one dataset.")
    check_test_names(references, key)
    return {str(ref.name): load_dataset(ref, recipe_dir, f"{key}.{i}") for i, ref in enumerate(references)}


def import_dataset_module(data_src: str | None, recipe_dir: Path, key: str) -> ModuleType:
    """The module behind a `data_src`: `corpus/system`, a dotted name, or None for the recipe's own `dataset`.

    Raises:
        ConfigError: there is no such module; `key` tells where it was asked for.
    """
    if data_src is None:
        return import_recipe_module(recipe_dir, "dataset")
    name = module_name(data_src, key)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not is_missing(name, error):
            raise
        raise ConfigError(
            f"{key}.data_src: there is no module {name} for {data_src!r}. Give <corpus>/<system> of a recipe in egs3, "
            "the dotted name of an importable module, or leave data_src out to use the recipe's own dataset/."
        ) from None


def module_name(data_src: str, key: str) -> str:
    """The dotted name that a `data_src` stands for: `mini-an4/asr` is `egs3.mini_an4.asr.dataset`.

    Raises:
        ConfigError: it is neither `corpus/system` nor a dotted name.
    """
    if _CORPUS_AND_SYSTEM.fullmatch(data_src) or _DOTTED.fullmatch(data_src):
        return dataset_module(data_src)
    raise ConfigError(f"{key}.data_src is {data_src!r}; it must be <corpus>/<system> or the dotted name of a module.")


def exported(module: ModuleType, name: str, key: str) -> Any:
    """`Dataset` or `DatasetBuilder` of a dataset module.

    Raises:
        ConfigError: the module does not export it.
    """
    if (found := getattr(module, name, None)) is not None:
        return found
    raise ConfigError(f"{key}: the dataset module {module.__name__} ({module.__file__}) must export {name}.")


def load_dataset(reference: DatasetReference, recipe_dir: Path, key: str) -> SpeechDataset:
    """The dataset of one entry, which stands at `key`.

    Raises:
        ConfigError: it names no dataset, or its arguments do not fit.
        DataError: its manifest is missing.
    """
    make = exported(import_dataset_module(reference.data_src, recipe_dir, key), "Dataset", key)
    dataset: SpeechDataset = _called(make, reference.data_src_args, f"{key}.data_src_args")
    lacking = [name for name in ("__len__", "__getitem__", "durations", "utterance") if not hasattr(make, name)]
    if lacking and not all(hasattr(dataset, name) for name in lacking):
        raise ConfigError(
            f"{key}: {make.__module__}.{make.__name__} lacks {', '.join(lacking)}. Subclass "
            "espnet3.components.data.dataset.ManifestDataset, or write them."
        )
    if reference.transform is None:
        return dataset
    return TransformedDataset(dataset, build(reference.transform, f"{key}.transform"))


def check_test_names(references: Sequence[DatasetReference], key: str) -> None:
    """Make sure that each test set has a name of its own that can name a folder.

    Raises:
        ConfigError: names every entry that has none, or another's.
    """
    problems = [f"{key}.{i}.name is missing: a test set needs one." for i, ref in enumerate(references) if not ref.name]
    names = [ref.name for ref in references if ref.name]
    problems += [f"{key}: the name {name!r} is used {n} times." for name, n in Counter(names).items() if n > 1]
    problems += [
        f"{key}: the name {name!r} cannot name a folder: leave out slashes and leading dots."
        for name in names
        if "/" in name or "\0" in name or name.startswith(".")
    ]
    if problems:
        raise ConfigError("\n".join(problems))


def _called(make: Any, arguments: dict[str, Any], key: str) -> Any:
    arguments = taken_arguments(make, f"{make.__module__}.{make.__name__}", arguments, key)
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError as error:
        accepted = ", ".join(inspect.signature(make).parameters)
        raise ConfigError(f"{key}: {error}. {make.__name__} accepts: {accepted}.") from None
    try:
        return make(**arguments)
    except DataError as error:
        raise DataError(f"{key}: {error}") from None

"""The code that a stage runs, as digests of definitions: what its fingerprint holds beside settings and contents.

`fingerprint` asks `Code.of_stage`. It begins with the methods of the System that the stage calls, the `_target_`s of
the stage's settings and what dataset modules export, and follows every name that a definition uses into the source of
espnet3, of the recipe (run.py, src/, dataset/) and of the dataset modules of other recipes. Nothing is imported. A
definition counts by its syntax tree without docstrings, so that comments and layout change nothing; of a module, what
runs when it is imported counts as well. Rooms that decide how a stage runs and not what it makes are left out
(`PLUMBING`). Code that loads other code by a name that it computes counts as using all of its recipe's files.
"""

import gc
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from espnet3.config.data_sources import dataset_module
from espnet3.config.target_sources import Sources
from espnet3.config.targets import source_roots
from espnet3.pipeline.code_walk import Definition, Digests, Walk
from espnet3.pipeline.spec import System, spec_of

_PROSE = re.compile(r".*\.md|LICENSE[^/]*|README[^/]*")
_SPECIAL = ("__init__", "__new__", "__getattr__", "__getattribute__", "__setattr__")
"""What Python itself calls of a System."""


class Code:
    """The code of one recipe and of espnet3.

    Args:
        recipe_dir: the folder of the recipe's run.py, src/ and dataset/.
        files: the recipe's own files and the dataset modules of others, as they travel in a run config.
    """

    def __init__(self, recipe_dir: Path, files: Mapping[str, str]) -> None:
        self._sources = Sources(source_roots(recipe_dir))
        self._files = {path: text for path, text in files.items() if not _PROSE.fullmatch(PurePosixPath(path).name)}
        self._known: dict[int, Definition] = {}

    def of_stage(
        self, system: type[System], stage: str, settings: Mapping[str, Any], targets: Iterable[str] = ()
    ) -> Digests:
        """Digests of all definitions that a stage uses.

        Args:
            system: the System class of the recipe.
            stage: name of the stage.
            settings: those that the stage reads, by dotted key.
            targets: what else it builds, by dotted name.
        """
        walk = Walk(self._sources, self._files, self._known, system)
        with _without_collection():
            walk.members((*_SPECIAL, stage))
            for text in (*_texts(settings), *targets):
                walk.text(text)
            spec = spec_of(system, stage)
            for module in {"dataset", *_dataset_modules(settings)} if spec.reads_data else ():
                for export in spec.exports:
                    walk.dotted(f"{module}.{export}")
        return dict(sorted(walk.digests.items()))


@contextmanager
def _without_collection() -> Iterator[None]:
    """Syntax trees are many objects, and all of them stay: to look for garbage among them is a sixth of a plan."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _dataset_modules(settings: Mapping[str, Any]) -> set[str]:
    """The dataset modules that settings, by dotted key, name beside the recipe's own."""
    named = [value for key, value in settings.items() if key.endswith(".data_src")]
    values = [each for value in named for each in (value if isinstance(value, list) else [value])]
    return {dataset_module(value) for value in values if isinstance(value, str)}


def _texts(settings: Mapping[str, Any]) -> Iterator[str]:
    for value in settings.values():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, str):
                yield each

"""What of a recipe stays on this machine when its run config travels, and whether the run can do without.

`run.py --print_config` and the workflow generator tell it: a recipe that works on a laptop would otherwise look for
these files in a cluster, in vain. For what travels, see `files`.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from espnet3.config.slots import texts_in
from espnet3.recipe.files import LARGEST_FILE, TRAVELLING_FOLDERS, dataset_files, own_files, why_not

_COMPILED = {".so", ".pyd"}
_MOST_SHOWN = 10


@dataclass(frozen=True)
class LeftBehind:
    """A file that does not travel."""

    name: str
    """Its path in the recipe."""
    why: str
    importer: str = ""
    """A travelling file that imports it, and so cannot do without."""

    def __str__(self) -> str:
        return f"{self.name} {self.why}" + (f", and {self.importer} imports it" if self.importer else "")


def find_left_behind(recipe_dir: Path, files: Mapping[str, str], configs: Iterable[Any]) -> list[LeftBehind]:
    """Files of run.py, src/, dataset/ and of the dataset modules in use that do not travel, and modules beside them.

    Args:
        recipe_dir: the recipe's folder.
        files: what travels, as `all_recipe_files` gives it.
        configs: the configs, as plain values.
    """
    configs = list(configs)
    named = {PurePosixPath(text).as_posix() for config in configs for text in texts_in(config)}
    found = []
    for name, path in (own_files(recipe_dir) | dataset_files(recipe_dir, configs)).items():
        if why := why_not(name, path):
            says = f"{why} and is named in a config" if {name, path.as_posix()} & named else why
            found.append(LeftBehind(name, says, _importer(name, files)))
    return [*found, *_beside(recipe_dir, files)]


def warning(left: Iterable[LeftBehind]) -> str:
    """What to tell of them, in one paragraph; empty where there are none."""
    lines = [f"  {each}" for each in left]
    if not lines:
        return ""
    shown = [*lines[:_MOST_SHOWN], *([f"  and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else [])]
    return "\n".join(
        [
            f"WARNING: files of the recipe do not travel with its run config, in which only UTF-8 text of at most "
            f"{LARGEST_FILE} bytes a file does:",
            *shown,
            "In a cluster, a run does not find them. Put data on a volume and name its path there in a config; put "
            "code into src/, or into a package of your own in the stages' image.\n",
        ]
    )


def _importer(name: str, files: Mapping[str, str]) -> str:
    """Who imports a compiled module, which is none of a source beside it."""
    path = PurePosixPath(name)
    module = path.name.partition(".")[0]
    if path.suffix not in _COMPILED or str(path.with_name(f"{module}.py")) in files:
        return ""
    return next((other for other, names in _imports(files) if module in {part for each in names for part in each}), "")


def _beside(recipe_dir: Path, files: Mapping[str, str]) -> Iterator[LeftBehind]:
    """Modules next to run.py, which Python finds there, and nowhere else."""
    importers = {names[0]: name for name, imported in _imports(files) for names in imported if names[0]}
    for path in sorted(recipe_dir.iterdir()):
        module = path.stem if path.suffix == ".py" else path.name
        if module not in importers or module in {"run", *TRAVELLING_FOLDERS, *sys.stdlib_module_names}:
            continue
        if path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py"))):
            yield LeftBehind(path.name, "lies outside of src/ and dataset/", importers[module])


def _imports(files: Mapping[str, str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Each Python file with the dotted names that it imports, in parts; relative ones begin with an empty part."""
    for name, text in files.items():
        if name.endswith(".py"):
            with suppress(SyntaxError, ValueError):  # told by whoever imports it
                yield name, list(_imported(ast.parse(text)))


def _imported(tree: ast.Module) -> Iterator[list[str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = [""] * bool(node.level) + (node.module or "").split(".")
            yield from ([*module, alias.name] for alias in node.names)

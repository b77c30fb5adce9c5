"""Which of a recipe's own files travel in its run config, and what a path in there may be.

`recipe` and `run_config` call it. Only small text files travel: run.py, src/, dataset/, the corpus's licence, and the
dataset modules of other recipes that a config names by `data_src`. Speech and models stay where they are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import PathFinder
from pathlib import Path, PurePosixPath
from typing import Any

from espnet3.config.data_sources import data_sources, dataset_module
from espnet3.config.modules import read_source
from espnet3.errors import ConfigError

LARGEST_FILE = 64 * 1024
"""Bytes; a larger Python file is refused, any other larger file is left out as data."""
TRAVELLING_FOLDERS = ("src", "dataset", "egs3")
LICENCE = "LICENSE"
"""Beginning of the name of a licence, which a published model carries on."""
_OF_PYTHON = f"a recipe's Python file has at most {LARGEST_FILE} bytes of UTF-8. Split it, or save it as UTF-8."
_SKIPPED_FOLDERS = {"__pycache__"}


def read_recipe_files(recipe_dir: Path) -> dict[str, str]:
    """{relative POSIX path: text} of run.py, LICENSE*, src/ and dataset/, sorted by path.

    Raises:
        ConfigError: a Python file is larger than LARGEST_FILE or no UTF-8, or the name of any file is not.
    """
    return _read(own_files(recipe_dir))


def all_recipe_files(recipe_files: Mapping[str, str], recipe_dir: Path, configs: Iterable[Any]) -> dict[str, str]:
    """A recipe's own files, and those of the dataset modules that its configs (plain values) name.

    Raises:
        ConfigError: a `data_src` names a recipe that is not there, or a Python file cannot travel.
    """
    return dict(recipe_files) | _read(dataset_files(recipe_dir, configs))


def own_files(recipe_dir: Path) -> dict[str, Path]:
    """{relative POSIX path: file} of all that might travel, sorted by path; for what does not, see `why_not`."""
    roots = [*(recipe_dir / name for name in ("run.py", "src", "dataset")), *recipe_dir.glob(f"{LICENCE}*")]
    return _named(recipe_dir, roots)


def dataset_files(recipe_dir: Path, configs: Iterable[Any]) -> dict[str, Path]:
    """The same for `egs3/<corpus>/<task>/dataset/` of every `data_src` in configs that names another recipe.

    Raises:
        ConfigError: there is no such recipe.
    """
    files: dict[str, Path] = {}
    # Unpacked code has egs3 in its own folder; of a recipe in egs3/<corpus>/<task>, it lies three levels up.
    roots = [recipe_dir, *recipe_dir.parents[2:3], *(Path(place).parent for place in _egs3_folders())]
    for source in sorted({source for config in configs for source in data_sources(config)}):
        package = Path(*dataset_module(source).split("."))
        if package.parts[0] != "egs3":
            continue  # an installed package's
        root = next((root for root in roots if (root / package).is_dir()), None)
        if root is None:
            raise ConfigError(
                f"data_src {source!r} names {package}, which is in none of {', '.join(map(str, roots))}. "
                "Write corpus/task as in egs3, or a dotted module."
            )
        files |= _named(root, [root / package])
    return files


def why_not(name: str, path: Path) -> str | None:
    """Why a file does not travel; None for one that does."""
    try:
        check_travelling_path(name)
        name.encode()
    except ValueError:
        return "has a name that other systems cannot have"
    if not path.exists():
        return "is a link to nothing"
    if (size := path.stat().st_size) > LARGEST_FILE:
        return f"has {size} bytes"
    content = read_source(path)
    if b"\0" in content:
        return "is not text"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"is not UTF-8 text (byte {error.start} of it)"
    return None


def check_travelling_path(name: str) -> str:
    """`name` itself.

    Raises:
        ValueError: it is not a plain relative path to run.py or a licence, or into src/, dataset/ or egs3/.
    """
    path = PurePosixPath(name)
    plain = str(path) == name and ".." not in path.parts and not re.search(r"[\\\x00-\x1f\x7f:]", name)
    alone = len(path.parts) == 1 and (name == "run.py" or name.startswith(LICENCE))
    if not plain or not (alone or (len(path.parts) > 1 and path.parts[0] in TRAVELLING_FOLDERS)):
        raise ValueError("a recipe's file is run.py, LICENSE*, or a plain relative path into src/, dataset/ or egs3/")
    return name


def _egs3_folders() -> list[str]:
    spec = PathFinder.find_spec("egs3")
    return list(spec.submodule_search_locations or []) if spec else []


def _read(files: Mapping[str, Path]) -> dict[str, str]:
    texts = {name: _text(name, path) for name, path in files.items()}
    return {name: text for name, text in texts.items() if text is not None}


def _named(root: Path, tops: Iterable[Path]) -> dict[str, Path]:
    files = {path.relative_to(root).as_posix(): path for top in tops for path in _walk(top)}
    return dict(sorted(files.items()))


def _walk(top: Path) -> Iterator[Path]:
    if top.is_file() or (top.is_symlink() and not top.exists()):
        yield top
    elif top.is_dir() and top.name not in _SKIPPED_FOLDERS:
        for path in sorted(top.iterdir()):
            if not path.name.startswith("."):
                yield from _walk(path)


def _text(name: str, path: Path) -> str | None:
    why = why_not(name, path)
    if why and path.suffix == ".py":
        raise ConfigError(f"{path} {why}; {_OF_PYTHON}")
    return None if why else read_source(path).decode("utf-8")

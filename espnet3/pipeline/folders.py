"""Folders that settings name, such as a Kaldi data directory: whether what is in one counts as input, and its files.

`settings` takes the contents of these files in the place of the setting; `plan` says which folders are too large for
it. A folder of products is none: for what counts of it, see the stages' specs.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from espnet3.pipeline.contents import files_below, is_model, model_files

MOST_FILES = 1_000
"""More are a corpus, not a setting: it would take minutes to read them, on each start."""
MOST_BYTES = 2**34
"""16 GiB, which a network volume gives in about two minutes, the first time."""


_WRITTEN = re.compile(r"(.*_)?(cache|tmp|temp|work|scratch|download|out|output|log)s?(_(dir|folder|path))?")
"""What a setting is called whose folder a stage writes to: what is in there says nothing of what it reads."""


@dataclass(frozen=True)
class ProductPlaces:
    """Where stages leave their products, which are no inputs by being below a folder that a setting names."""

    own: Sequence[Path] = ()
    """Files and folders of the stage itself: nothing in them is an input of it."""
    log_dirs: Sequence[Path] = ()
    """Of all stages: these and the folders around them change with every run."""

    def is_own(self, path: Path) -> bool:
        """Whether the stage itself makes exactly this."""
        return _normal(path) in self._own

    def hold(self, folder: Path, key: str = "") -> bool:
        """Whether a folder, which a setting names, is one of products or caches, or one around such."""
        if _WRITTEN.fullmatch(key.rpartition(".")[2]):
            return True
        place = _normal(folder)
        around = any(each.is_relative_to(place) for each in (*self._own, *map(_normal, self.log_dirs)))
        return around or any(place.is_relative_to(each) for each in self._own)

    @cached_property
    def _own(self) -> frozenset[Path]:
        return frozenset(map(_normal, self.own))


@dataclass(frozen=True)
class TooLarge:
    """A folder whose contents do not count, because reading them would take too long."""

    key: str
    """The setting that names it."""
    path: Path

    def __str__(self) -> str:
        return (
            f"{self.key}: changes in {self.path} are not noticed, since it holds more than {MOST_FILES:,} files or "
            f"{MOST_BYTES >> 30} GiB; name the files or smaller folders of it that count, or use --force after a change"
        )


def files_of(folder: Path) -> list[Path] | None:
    """The files in a folder that count, sorted: of a trained model the model, else all; None where they are too many.

    Raises:
        OSError: it cannot be read, or its name is too long for a path.
    """
    if is_model(folder):
        return model_files(folder)
    files, size = [], 0
    for file in files_below(folder):
        files.append(file)
        size += file.stat().st_size if file.exists() else 0
        if len(files) > MOST_FILES or size > MOST_BYTES:
            return None
    return sorted(files)


def find_too_large(folders: Iterable[tuple[str, Path]], places: ProductPlaces) -> list[TooLarge]:
    """Those of some folders, by the setting that names each, that are no products and too large to be read."""
    return [TooLarge(key, path) for key, path in folders if not places.hold(path, key) and _too_large(path)]


def is_folder(path: Path) -> bool:
    """Whether there is a folder at what may be no path at all."""
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long for a path
        return False


def _too_large(folder: Path) -> bool:
    try:
        return files_of(folder) is None
    except OSError:
        return False


def _normal(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  # without `..`, and without asking the volume

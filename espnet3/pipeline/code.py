"""The code among what a stage depends on: which of the recipe's own files count for it, and its System.

`fingerprint` calls `code_of`; its docstring tells the rules. Files are not read here: what imports what is told by
`recipe_digests`, which sees their texts.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from espnet3.pipeline.spec import StageSpec, System, spec_of
from espnet3.runtime.versions import system_name

FOLDERS = ("src", "dataset", "egs3")
"""Where a recipe's own files lie; under egs3, the dataset modules of other recipes."""
_DATA = ("dataset", "egs3")
_NAMED = {folder: re.compile(rf"(?<![\w./-]){folder}[./]\w") for folder in FOLDERS}
"""A dotted name or a path into a folder."""
_IMPORTED = {folder: re.compile(rf"\b(from|import)\s+{folder}\b|['\"]{folder}\.\w") for folder in FOLDERS[:2]}
_IDLE = re.compile(r"run\.py|.*\.md|LICENSE[^/]*")

_OF_CONFIGS = ("stage_specs", "config_models")
"""Of a System: what they say reaches products through the configs alone, and these count themselves."""
_BOOKKEEPING = re.compile(
    r"__(module|doc|qualname|dict|weakref|firstlineno|static_attributes|slots|parameters|orig_bases|type_params"
    r"|abstractmethods|annotations|annotate|annotate_func|annotations_cache|conditional_annotations)__|_abc_impl"
)
"""What every class body leaves in its class."""


def recipe_digests(files: Mapping[str, str]) -> dict[str, str]:
    """sha256 of the recipe's own files that count; run.py, which only says what to run, prose and licences do not.

    Where code of src/ and dataset/ imports the other folder, what it imports is listed under the folder, too, as
    `dataset imports src/text.py`.

    Args:
        files: {path: text}, as they travel in a run config.
    """
    code = {path: text for path, text in files.items() if not _IDLE.fullmatch(path)}
    digests = {path: hashlib.sha256(text.encode()).hexdigest() for path, text in code.items()}
    pairs = {(_folder(path), other) for path, text in code.items() for other in _imports(path, text)}
    further = {
        f"{folder} imports {path}": digest
        for folder, other in sorted(pairs)
        for path, digest in digests.items()
        if _folder(path) == other
    }
    return digests | further


def code_of(system: type[System], stage: str, settings: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, str]:
    """`system`, and `file:<path>` for each file that counts for a stage.

    Args:
        system: the System class of the recipe.
        stage: name of the stage.
        settings: what its fingerprint covers of the configs.
        files: as `recipe_digests` gives them.
    """
    is_own = _changes_stage(system, stage)
    folders = set(_named_folders(settings))
    if is_own:
        folders |= {"src", *(_top(cls) for cls in _own_classes(system))}
    if _reads_data(spec_of(system, stage)):
        folders.update(_DATA)
    code = {f"file:{path}": digest for path, digest in files.items() if _folder(path) in folders}
    return {**code, "system": system_name(system if is_own else _library_class(system))}


def _folder(path: str) -> str:
    return re.split("[/ ]", path, maxsplit=1)[0]


def _imports(path: str, text: str) -> Iterator[str]:
    if path.endswith(".py"):
        yield from (other for other, mark in _IMPORTED.items() if other != _folder(path) and mark.search(text))


def _named_folders(settings: Mapping[str, Any]) -> Iterator[str]:
    texts = json.dumps(list(settings.values()), ensure_ascii=False, default=str)
    yield from (folder for folder, named in _NAMED.items() if named.search(texts))


def _reads_data(spec: StageSpec) -> bool:
    """Whether the stage depends on datasets; a whole slot has some, too."""
    return any(part.split(".")[1:2] in ([], ["dataset"]) for part in spec.reads)


def _changes_stage(system: type[System], stage: str) -> bool:
    """Whether the recipe's own classes change a stage, or may: they define it, or what their base has for all."""
    base = _library_class(system)
    names = {name for cls in _own_classes(system) for name in vars(cls) if not _BOOKKEEPING.fullmatch(name)}
    for_all = {name for name in names if name.startswith("__") or hasattr(base, name)}
    return stage in names or bool(for_all - {*_OF_CONFIGS, *base.stage_specs})


def _own_classes(system: type[System]) -> list[type]:
    return [cls for cls in system.__mro__ if _is_own(cls)]


def _library_class(system: type[System]) -> type[Any]:
    return next(cls for cls in system.__mro__ if not _is_own(cls))


def _is_own(cls: type) -> bool:
    """Whether a class is the recipe's: of src/, of dataset/, or of run.py, whichever way that was run."""
    return _top(cls) in {"src", "dataset", "run", "__main__"} or cls.__module__.startswith("_recipe_")


def _top(cls: type) -> str:
    return cls.__module__.partition(".")[0]

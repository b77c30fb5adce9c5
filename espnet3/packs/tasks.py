"""Which of the installed tasks a pack is of.

A task is a package below `espnet3.systems`; what it knows of packs is the object `PACKING` of its module `packing`, an
`espnet3.packs.pack.Packing`. Nothing is registered: the packages of this installation are looked through, so that a
name out of a pack is compared and never imported. `read_pack` finds the task by `task` of meta.json, which every pack
has; pack_model by the names of the classes that an experiment is made of.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import ModuleInfo, iter_modules
from typing import Any

from espnet3.errors import DataError
from espnet3.runtime.versions import package_version

SYSTEMS = "espnet3.systems"
"""The room of the tasks."""


def packing_of(task: str, path: Path) -> Any:
    """The `Packing` that has this name of a task.

    Args:
        task: as a pack says it.
        path: where it says it, for the message.

    Raises:
        DataError: none of the installed tasks has it.
    """
    known = {packing.task: packing for packing in installed().values()}
    if task not in known:
        raise DataError(
            f"{path}: task is {task!r}, and espnet3 {package_version()} reads packs of {', '.join(sorted(known))}. "
            "Install the espnet3 that has this task."
        )
    return known[task]


def packing_around(target: str) -> Any | None:
    """The `Packing` of the task that a dotted name belongs to; None where it is of no task that has one."""
    name = target.removeprefix(f"{SYSTEMS}.")
    return None if name == target else installed().get(name.partition(".")[0])


def installed() -> dict[str, Any]:
    """Each `Packing` of this installation by the name of its task's package."""
    found = {}
    for package in _modules_in(SYSTEMS):
        name = f"{SYSTEMS}.{package.name}"
        if package.ispkg and any(each.name == "packing" for each in _modules_in(name)):
            found[package.name] = getattr(import_module(f"{name}.packing"), "PACKING", None)
    return {name: packing for name, packing in found.items() if packing is not None}


def _modules_in(package: str) -> Iterator[ModuleInfo]:
    return iter_modules(import_module(package).__path__)

"""A recipe's own Python: its run.py, and the packages `src` and `dataset` that every recipe has under the same name.

`load_recipe` is how the workflow generator, the container entrypoints and the tests read a recipe without running it;
`activated` lets a recipe's stages import their `src` (also late, inside a method). While no recipe is active, no `src`
or `dataset` of a recipe can be imported. `sys.modules` belongs to the process: activate in one thread only. A worker
process that is started while a recipe is active finds the same packages, because it inherits `sys.path` and the
environment.
"""

import hashlib
import importlib
import os
import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from espnet3.errors import ConfigError, Espnet3Error
from espnet3.recipe.files import read_recipe_files

OWN_PACKAGES = ("src", "dataset")
_ACTIVE = "_ESPNET3_ACTIVE_RECIPE"
"""Environment variable with the folder of the active recipe, for worker processes."""
_modules: dict[Path, dict[str, ModuleType]] = {}
_active: list[Path] = []
_names: dict[Path, str] = {}
"""Names of recipes whose code was unpacked somewhere else, by the folder."""


@dataclass(frozen=True)
class Recipe:
    """What a recipe folder says: its stages, its System and its own code; `name` is `<corpus>/<task>` as in egs3."""

    name: str
    dir: Path
    stages: tuple[str, ...]
    system_cls: type[Any]

    @cached_property
    def files(self) -> Mapping[str, str]:
        """Text of run.py, LICENSE*, src/ and dataset/ by relative POSIX path.

        Raises:
            ConfigError: a Python file is too large to travel, or is not UTF-8.
        """
        return read_recipe_files(self.dir)

    def activated(self) -> AbstractContextManager[None]:
        """While the block runs, `src` and `dataset` are this recipe's; blocks nest."""
        return activated(self.dir)


def load_recipe(recipe_dir: Path | str) -> Recipe:
    """Read a recipe's run.py (its module level runs, its `if __name__ == "__main__":` block does not).

    Raises:
        ConfigError: there is no run.py, it fails (file:line), or it lacks a valid DEFAULT_STAGES or SYSTEM_CLS.
    """
    directory = Path(recipe_dir).resolve()
    run = directory / "run.py"
    if not run.is_file():
        raise ConfigError(f"{directory} is not a recipe: it has no run.py. Copy egs3/TEMPLATE/asr and fill it in.")
    names = _execute(run)
    return Recipe(
        name=recipe_name(directory),
        dir=directory,
        stages=_stages(names.get("DEFAULT_STAGES"), run),
        system_cls=_system(names.get("SYSTEM_CLS"), run),
    )


def load_system(recipe_dir: Path | str, dotted: str) -> type[Any]:
    """The System class that a run config names; call it while the recipe is active.

    Args:
        recipe_dir: the recipe's folder.
        dotted: `package.module.Class`; `run.Class` is one that the recipe's run.py itself defines.

    Raises:
        ConfigError: there is no such class, or it is not a System.
    """
    module, _, name = dotted.rpartition(".")
    run = Path(recipe_dir).resolve() / "run.py"
    try:
        names = _execute(run) if module == "run" else vars(importlib.import_module(module))
    except ModuleNotFoundError as error:
        if not is_missing(module, error):
            raise
        raise ConfigError(
            f"The run config names the System {dotted}, but there is no module {module}: it belongs into the recipe's "
            "src/, or into a package that is installed here."
        ) from None
    if name not in names:
        raise ConfigError(f"The run config names the System {dotted}, but {module} has no {name}. Write it again.")
    return _system(names[name], run)


def recipe_name(recipe_dir: Path) -> str:
    """`<corpus>/<task>` of a recipe; `recipe_dir` as in `recipe_folder`. Unpacked code has the name it came with."""
    directory = recipe_folder(recipe_dir)
    return _names.get(directory) or "/".join(directory.parts[-2:]).lstrip("/")


@contextmanager
def activated(recipe_dir: Path | str, name: str = "") -> Iterator[None]:
    """While the block runs, `src` and `dataset` are those of `recipe_dir`; the ones before come back afterwards.

    A recipe's modules are imported once a process and keep their identity over all its blocks, nested ones too.

    Args:
        recipe_dir: as in `recipe_folder`.
        name: of a recipe that lies elsewhere than in a folder of this name.
    """
    directory = recipe_folder(recipe_dir)
    if name:
        _names[directory] = name
    outside = _own_modules()
    if _active:
        _modules[_active[-1]] = outside
    _install(_modules.get(directory, _from(directory, outside)))
    sys.path.insert(0, str(directory))
    importlib.invalidate_caches()
    _active.append(directory)
    before = os.environ.get(_ACTIVE)
    os.environ[_ACTIVE] = str(directory)
    try:
        yield
    finally:
        os.environ.pop(_ACTIVE)
        if before is not None:
            os.environ[_ACTIVE] = before
        _modules[directory] = _own_modules()
        _active.pop()
        _install(_modules[_active[-1]] if _active else outside)
        with suppress(ValueError):
            sys.path.remove(str(directory))


def recipe_folder(recipe_dir: Path | str) -> Path:
    """Where a recipe's code is: `.`, as configs have it, is the active recipe, whatever the working directory."""
    active = os.environ.get(_ACTIVE)
    return Path(active) if active and Path(recipe_dir) == Path() else Path(recipe_dir).resolve()


def import_recipe_module(recipe_dir: Path | str, name: str) -> ModuleType:
    """The recipe's own module `name`, such as `dataset` or `src.model`; `recipe_dir` as in `recipe_folder`.

    Raises:
        ConfigError: the recipe has no such module. What fails inside the module comes through as it is.
    """
    directory = recipe_folder(recipe_dir)
    if name.partition(".")[0] not in OWN_PACKAGES:
        raise ConfigError(f"{name} is not a module of a recipe: those begin with {' or '.join(OWN_PACKAGES)}.")
    with activated(directory):
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not is_missing(name, error):
                raise
            place = directory / name.replace(".", "/")
            raise ConfigError(
                f"The recipe {directory} has no module {name}: write {place}/__init__.py or {place}.py, "
                "or name another module in the config."
            ) from None


def is_missing(module: str, error: ModuleNotFoundError) -> bool:
    """Whether `module` itself, or a package around it, is what was not found, and not something that it imports."""
    return error.name is not None and f"{module}.".startswith(f"{error.name}.")


def _own_modules() -> dict[str, ModuleType]:
    return {name: module for name, module in sys.modules.items() if name.partition(".")[0] in OWN_PACKAGES}


def _from(directory: Path, modules: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """Those of `modules` that `python run.py` has imported from `directory` already: classes must stay the same."""
    return {name: module for name, module in modules.items() if directory in _places(module)}


def _places(module: ModuleType) -> set[Path]:
    files = [module.__file__] if getattr(module, "__file__", None) else list(getattr(module, "__path__", []))
    return {parent for file in files for parent in Path(str(file)).resolve().parents}


def _install(modules: Mapping[str, ModuleType]) -> None:
    for name in _own_modules():
        del sys.modules[name]
    sys.modules.update(modules)


def _execute(run: Path) -> dict[str, Any]:
    private_name = f"_recipe_{hashlib.sha256(str(run).encode()).hexdigest()[:12]}"
    with activated(run.parent):
        try:
            return runpy.run_path(str(run), run_name=private_name)
        except Espnet3Error:
            raise
        except SyntaxError as error:
            raise ConfigError(f"{error.filename}:{error.lineno}: {error.msg}. Correct this line.") from None
        except SystemExit as error:
            raise ConfigError(f"{_line(error, run)}: {_GUARD}") from None
        except Exception as error:
            raise ConfigError(f"{_line(error, run)}: {type(error).__name__}: {error}") from error


_GUARD = 'run.py ends the process when it is only loaded. Put what it does under `if __name__ == "__main__":`.'


def _line(error: BaseException, run: Path) -> str:
    """`file:line` of the innermost frame in the recipe's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(run.parent)]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else str(run)


def _stages(stages: Any, run: Path) -> tuple[str, ...]:
    example = 'such as DEFAULT_STAGES = ["create_dataset", "collect_stats", "train", "infer", "measure"]'
    if not isinstance(stages, list | tuple) or not all(isinstance(stage, str) for stage in stages) or not stages:
        raise ConfigError(f"{run} must set DEFAULT_STAGES at module level to a list of stage names, {example}.")
    if repeated := sorted({stage for stage in stages if stages.count(stage) > 1}):
        raise ConfigError(f"DEFAULT_STAGES in {run} names {', '.join(repeated)} twice; name each stage once.")
    return tuple(stages)


def _system(system_cls: Any, run: Path) -> type[Any]:
    # By name: the layer of Systems lies above this one.
    bases = getattr(system_cls, "__mro__", ())
    if not any(f"{base.__module__}.{base.__qualname__}" == "espnet3.systems.base.system.BaseSystem" for base in bases):
        given = "nothing" if system_cls is None else repr(system_cls)
        raise ConfigError(
            f"{run} must set SYSTEM_CLS at module level to a subclass of espnet3.systems.base.system.BaseSystem, "
            f"such as espnet3.systems.asr.system.ASRSystem; it is set to {given}."
        )
    return system_cls  # type: ignore[no-any-return]

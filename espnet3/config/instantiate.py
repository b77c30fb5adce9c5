"""Building what a config names: `_target_` nodes to objects, with errors that say which key was wrong.

The stages, the datasets and packs call it. `_target_`, `_args_`, `_partial_` and `_recursive_` mean what they mean in
Hydra, but a process does not spend 40 ms on importing it. `_convert_` is accepted and changes nothing: `compose` has
resolved the config, so a target is given plain dicts, lists and values, of the types that it takes (`arguments`).
`targets` sees before a run, without an import, whether targets exist and take their arguments.
"""

import importlib
import reprlib
import traceback
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from functools import partial
from types import ModuleType
from typing import Any

from espnet3.config.arguments import taken_arguments
from espnet3.config.findings import nearest
from espnet3.config.kinds import TRUTH, fit
from espnet3.errors import ConfigError

Node = dict[str, Any]

_FLAGS = ("_target_", "_args_", "_partial_", "_recursive_", "_convert_")


def prepare(node: Node, key: str) -> Callable[..., Any]:
    """Import a `_target_` and build its arguments; the returned callable takes the rest and builds the object.

    Raises:
        ConfigError: it cannot be imported, or an argument of it cannot be built; names the key, which lies below `key`.
    """
    return _prepare(node, key, recursive=True)


def build(node: Node, key: str, **objects: Any) -> Any:
    """Build the object that a `_target_` node names; `objects` are arguments that exist at run time alone.

    Raises:
        ConfigError: a target cannot be imported, does not take the arguments, or refuses a value; names the key, which
            lies below `key`.
    """
    return _call(_prepare(node, key, recursive=True), node, key, objects)


def locate(target: Any, key: str) -> Callable[..., Any]:
    """The class or function that a dotted name stands for, imported; `key` is the node that has the name.

    As in Hydra, a part of the name is first an attribute of what stands before it, and else a module below it.

    Raises:
        ConfigError: a part of the name does not exist, the import fails, or it is not a class or function.
    """
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise ConfigError(
            f"{key}._target_: {target!r} is not the dotted name of a class or function, as package.module.Name is."
        )
    first, *rest = target.split(".")
    found: Any = _module(first, f"{key}: {target} does not resolve")
    for place, part in enumerate(rest, start=1):
        before = ".".join(target.split(".")[:place])
        if hasattr(found, part):
            found = getattr(found, part)
        elif isinstance(found, ModuleType) and hasattr(found, "__path__"):
            found = _module(f"{before}.{part}", f"{key}: {target} does not resolve", found)
        else:
            raise ConfigError(f"{key}: {target} does not resolve: {before} has no {part}{_hint(part, dir(found))}")
    if not callable(found):
        kind = "a module" if isinstance(found, ModuleType) else f"of type {type(found).__name__}"
        raise ConfigError(f"{key}: {target} is {kind}; name a class or function.")
    return found  # type: ignore[no-any-return]


def _prepare(node: Node, key: str, *, recursive: bool) -> "partial[Any]":
    target = locate(node.get("_target_"), key)
    recursive = _flag(node, "_recursive_", key, default=recursive)
    positional = node.get("_args_", [])
    if not isinstance(positional, list | tuple):
        raise ConfigError(f"{key}._args_: {positional!r} is not a list of positional arguments.")
    keywords = {name: value for name, value in node.items() if name not in _FLAGS}
    if odd := [name for name in keywords if not isinstance(name, str)]:
        raise ConfigError(f"{key}: {odd[0]!r} is not the name of an argument of {node['_target_']}.")
    keywords = taken_arguments(target, node["_target_"], {**keywords, "_args_": positional}, key)
    positional = keywords.pop("_args_")
    if not recursive:
        return partial(target, *deepcopy(positional), **deepcopy(keywords))
    args = _value(positional, f"{key}._args_", recursive=True)
    return partial(
        target, *args, **{name: _value(each, f"{key}.{name}", recursive=True) for name, each in keywords.items()}
    )


def _value(value: Any, key: str, *, recursive: bool) -> Any:
    """A value with the nodes in it built, at any depth."""
    if isinstance(value, list | tuple):
        return [_value(each, f"{key}.{place}", recursive=recursive) for place, each in enumerate(value)]
    if not isinstance(value, dict):
        return value
    if "_target_" not in value:
        recursive = _flag(value, "_recursive_", key, default=recursive)
        return {name: _value(each, f"{key}.{name}", recursive=recursive) for name, each in value.items()}
    prepared = _prepare(value, key, recursive=recursive)
    return prepared if _flag(value, "_partial_", key, default=False) else _call(prepared, value, key, {})


def _flag(node: Mapping[str, Any], name: str, key: str, *, default: bool) -> bool:
    fitted = fit(TRUTH, node.get(name, default))
    if fitted.misfits:
        raise ConfigError(f"{key}.{name}: {fitted.misfits[0].message}")
    return bool(fitted.value)


def _call(prepared: "partial[Any]", node: Node, key: str, objects: Mapping[str, Any]) -> Any:
    try:
        return prepared(**objects)
    except (TypeError, ValueError, RuntimeError) as error:
        named = (f"{name}={_shown(each)}" for name, each in {**prepared.keywords, **objects}.items())
        given = ", ".join([*map(_shown, prepared.args), *named]) or "nothing"
        raise ConfigError(f"{key} ({node['_target_']}, given {given}): {error}") from error


def _shown(value: Any) -> str:
    is_plain = value is None or isinstance(value, bool | int | float | str | list | dict)
    return reprlib.repr(value) if is_plain else type(value).__name__


def _module(name: str, sentence: str, parent: ModuleType | None = None) -> ModuleType:
    try:
        return importlib.import_module(name)
    except SyntaxError as error:
        raise ConfigError(f"{sentence}: {error.filename}:{error.lineno}: {error.msg}.") from error
    except ImportError as error:
        if not isinstance(error, ModuleNotFoundError) or error.name != name:
            raise ConfigError(f"{sentence}: {_place(error)}{error}.") from error
        if parent is None:
            raise ConfigError(f"{sentence}: there is no package {name}.") from None
        before, _, part = name.rpartition(".")
        raise ConfigError(f"{sentence}: {before} has no {part}{_hint(part, dir(parent))}") from None


def _place(error: ImportError) -> str:
    """The line that asked for what is not there; none where it is a compiled module's."""
    files = [each for each in traceback.extract_tb(error.__traceback__) if "importlib" not in each.filename]
    return f"{files[-1].filename}:{files[-1].lineno}: " if files[1:] else ""


def _hint(name: str, known: Iterable[str]) -> str:
    meant = nearest(name, (each for each in known if not each.startswith("_")), 0.6)
    return f"; did you mean {meant}?" if meant else "."

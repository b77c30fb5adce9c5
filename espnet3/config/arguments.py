"""The arguments of an imported target as it takes them, or the sentences that `targets` would have said of them.

`instantiate`, the dataset references, the builders and the writers of artifacts ask before they call: a System that is
used by hand has no check before it, and of a library that is not installed where a run is prepared nothing is known
there.
"""

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from espnet3.config.findings import Fault
from espnet3.config.kinds import ANY, Fitted, Kind, Leading, fit
from espnet3.config.parameter_kinds import kind_of_parameter
from espnet3.config.runtime_kinds import kind_of_runtime_parameter
from espnet3.config.signatures import OPEN, Parameter, Signature
from espnet3.config.target_sources import Sources, UnknownNameError
from espnet3.config.targets import RESERVED, unknown_arguments
from espnet3.errors import ConfigError

_OURS = ("espnet3", "egs3", "src", "dataset", "run")


def taken_arguments(target: Callable[..., Any], name: str, given: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Arguments of the types that a target takes.

    Args:
        target: the class or function.
        name: what the config calls it.
        given: plain values of the config; `_args_` are the positional ones.
        key: where they are, dotted, for messages.

    Raises:
        ConfigError: the target takes no argument of a name, or no value of a kind; names all of them.
    """
    signature, kinds = _known_of(target)
    faults = list(unknown_arguments(given, (), name, signature))
    fitted = {each: fit(kinds[each], value) for each, value in given.items() if each in kinds and each not in RESERVED}
    if isinstance(given.get("_args_"), list | tuple):
        fitted["_args_"] = fit(Leading(tuple(kinds.get(each, ANY) for each in signature.positions)), given["_args_"])
    faults += [Fault((each, *misfit.key), misfit.message) for each in fitted for misfit in fitted[each].misfits]
    if faults:
        raise ConfigError("\n".join(fault.sentence(key) for fault in faults))
    return {**given, **_values(fitted)}


def _values(fitted: Mapping[str, Fitted]) -> dict[str, Any]:
    return {name: each.value for name, each in fitted.items()}


def _known_of(target: Callable[..., Any]) -> tuple[Signature, dict[str, Kind]]:
    """What the source says of a target, and where that is too little, what the object says."""
    read, sources = _read_signature(target)
    kinds = {name: kind_of_parameter(parameter, sources) for name, parameter in read.parameters.items()}
    found = _parameters(target)
    scope = getattr(inspect.unwrap(getattr(target, "__init__", target)), "__globals__", {}) | getattr(
        inspect.unwrap(target), "__globals__", {}
    )
    for name, parameter in found.items():
        if kinds.get(name, ANY) == ANY:
            kinds[name] = kind_of_runtime_parameter(parameter, scope)
    return (read if not read.is_open else _signature(found)), kinds


def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    try:
        # What a decorator wraps may take other arguments than what is called.
        return inspect.signature(target, follow_wrapped=False).parameters
    except (TypeError, ValueError):
        return {}


def _signature(parameters: Mapping[str, inspect.Parameter]) -> Signature:
    """By name and by position; open where nothing is known."""
    named = {
        name: Parameter()
        for name, each in parameters.items()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    }
    positions = [
        each.name for each in parameters.values() if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
    ]
    is_open = not parameters or any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return Signature(named, is_open, tuple(positions))


def _read_signature(target: Callable[..., Any]) -> tuple[Signature, Sources]:
    package = str(getattr(target, "__module__", None)).partition(".")[0]
    sources = _sources(package, tuple(_places(package)))
    qualified = getattr(target, "__qualname__", "<locals>")
    if "<" in qualified:
        return OPEN, sources
    try:
        return sources.signature(f"{target.__module__}.{qualified}"), sources
    except (UnknownNameError, SyntaxError, ValueError, OSError):
        return OPEN, sources


def _places(package: str) -> Sequence[str]:
    """The folders that hold an imported package or module."""
    module = sys.modules.get(package)
    inside = list(getattr(module, "__path__", []) or [getattr(module, "__file__", None)])
    return [str(Path(place).parent) for place in inside if place]


@lru_cache(maxsize=64)
def _sources(package: str, places: tuple[str, ...]) -> Sources:
    return Sources({package: [Path(place) for place in places]}, are_ours=package in _OURS)

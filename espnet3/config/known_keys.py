"""Which keys of a slot its models do not know: misspelt, upstream ESPnet3's, or a recipe's own.

`sections` and `checks` ask. Inside a section, an unknown key is a fault: nobody would read it. At the top of a slot a
recipe may have keys of its own; `unused_keys` finds those that nobody reads.
"""

import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from espnet3.config.findings import Fault, Key, nearest
from espnet3.config.upstream_keys import advice_for


@dataclass(frozen=True)
class UnknownKey:
    """A key that nobody reads, and the known one that is probably meant."""

    fault: Fault
    meant: Key | None = None


def unknown_keys(model: type[BaseModel], node: Any, slot: str, own: set[str]) -> Iterator[UnknownKey]:
    """Every key that is certainly wrong.

    Args:
        model: what the slot may hold.
        node: its plain values.
        slot: its name.
        own: keys at the top that are no misspelling, because somebody reads them.
    """
    yield from _at_the_top(model, node, slot, own) if isinstance(node, dict) else ()
    for name, value in node.items() if isinstance(node, dict) else ():
        if name in model.model_fields:
            yield from _inside(model.model_fields[name].annotation, value, slot, (name,))


def _at_the_top(model: type[BaseModel], node: dict[Any, Any], slot: str, own: set[str]) -> Iterator[UnknownKey]:
    known = sorted(model.model_fields)
    for name, value in node.items():
        if name in known or name in own:
            continue
        if upstream := list(_upstream(slot, (str(name),), value)):
            yield from upstream
        elif meant := nearest(str(name), known):
            yield UnknownKey(Fault((str(name),), f"did you mean {meant}?"), (meant,))


def _in_section(model: type[BaseModel], node: dict[Any, Any], slot: str, key: Key) -> Iterator[UnknownKey]:
    known = list(model.model_fields)
    for name, value in node.items():
        below = (*key, str(name))
        if name in known:
            yield from _inside(model.model_fields[name].annotation, value, slot, below)
        elif advice_for(slot, below):
            yield from _upstream(slot, below, value)
        elif meant := nearest(str(name), known, 0.6):
            yield UnknownKey(Fault(below, f"did you mean {meant}?"), (*key, meant))
        else:
            yield UnknownKey(Fault(below, f"there is no such key here; known are {', '.join(known)}."))


def _upstream(slot: str, key: Key, value: Any) -> Iterator[UnknownKey]:
    """The innermost keys that upstream has; without a value they would do nothing there, either."""
    if value is None or value in ({}, []):
        return
    below = value.items() if isinstance(value, dict) else ()
    inner = [found for name, each in below for found in _upstream(slot, (*key, str(name)), each)]
    if inner:
        yield from inner
    elif advice := advice_for(slot, key):
        yield UnknownKey(Fault(key, f"is a key of upstream ESPnet3, and not of this one. {advice}"))


def _inside(annotation: Any, value: Any, slot: str, key: Key) -> Iterator[UnknownKey]:
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(value, dict):
        yield from _in_section(annotation, value, slot, key)
    elif get_origin(annotation) in {Union, types.UnionType, Annotated}:
        for choice in arguments:
            yield from _inside(choice, value, slot, key)
    elif isinstance(value, list) and arguments:
        for place, item in enumerate(value):
            yield from _inside(arguments[0], item, slot, (*key, str(place)))
    elif isinstance(value, dict) and len(arguments) == 2:
        for name, item in value.items():
            yield from _inside(arguments[1], item, slot, (*key, str(name)))

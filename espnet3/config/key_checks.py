"""Keys that look like a misspelling of a known one, in a section's model and the sections inside it.

`checks` calls it. Keys that resemble none are the recipe's own and pass.
"""

import types
from collections.abc import Iterator
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from espnet3.config.findings import Fault, Key, nearest
from espnet3.config.slots import HANDED_DOWN

_SHARED = {key for sources in HANDED_DOWN.values() for keys in sources.values() for key in keys}


def find_near_misses(model: type[BaseModel], node: dict[str, Any], key: Key = ()) -> Iterator[tuple[Fault, str]]:
    """Each suspicious key, and the known one that is probably meant."""
    known = set(model.model_fields)
    for name, value in node.items():
        if name in known:
            yield from _inside(model.model_fields[name].annotation, value, (*key, name))
        elif name not in _SHARED and (meant := nearest(str(name), sorted(known))):
            yield Fault((*key, str(name)), f"did you mean {meant}?"), meant


def _inside(annotation: Any, value: Any, key: Key) -> Iterator[tuple[Fault, str]]:
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and isinstance(value, dict):
        yield from find_near_misses(annotation, value, key)
    elif get_origin(annotation) in {Union, types.UnionType}:
        for choice in arguments:
            yield from _inside(choice, value, key)
    elif isinstance(value, list) and arguments:
        for place, item in enumerate(value):
            yield from _inside(arguments[0], item, (*key, str(place)))
    elif isinstance(value, dict) and len(arguments) == 2:
        for name, item in value.items():
            yield from _inside(arguments[1], item, (*key, str(name)))

"""The kinds of values that annotations of imported objects take.

`sections` asks for those of its models' fields, `arguments` for those of a target whose source says too little. For
the annotations of sources that were read, see `parameter_kinds`.
"""

import ast
import builtins
import inspect
import typing
from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

from espnet3.config.annotations import Alias, Meaning, kind_of, parse
from espnet3.config.kinds import ANY, NULL, Kind, either, fit


def kind_of_object(annotation: Any, scope: Mapping[str, Any]) -> Kind:
    """The kind of values that an annotation takes.

    Args:
        annotation: a type, or a text as `from __future__ import annotations` leaves it.
        scope: what the names in such a text stand for.
    """
    if isinstance(annotation, str):
        return kind_of(parse(annotation), partial(_looked_up, scope))
    return kind_of(parse(inspect.formatannotation(annotation)), _as_written)


def kind_of_runtime_parameter(parameter: inspect.Parameter, scope: Mapping[str, Any]) -> Kind:
    """The kind of values that an argument takes; one whose default contradicts its annotation takes any."""
    if parameter.annotation is parameter.empty:
        return ANY
    kind = kind_of_object(parameter.annotation, scope)
    if parameter.default is None:
        return either([kind, NULL])
    is_plain = isinstance(parameter.default, bool | int | float | str)
    return ANY if is_plain and fit(kind, parameter.default).misfits else kind


@lru_cache(maxsize=256)
def kinds_of_fields(model: type[Any]) -> Mapping[str, Kind]:
    """The kinds of a pydantic model's fields; a field that is a model itself takes any value here."""
    return {name: kind_of_object(field.annotation, {}) for name, field in model.model_fields.items()}


def _as_written(node: ast.expr) -> Meaning:
    dotted = ast.unparse(node)
    if hasattr(builtins, dotted):
        return f"builtins.{dotted}"
    return f"typing.{dotted}" if hasattr(typing, dotted) else dotted


def _looked_up(scope: Mapping[str, Any], node: ast.expr) -> Meaning:
    first, *rest = ast.unparse(node).split(".")
    found = scope.get(first, getattr(builtins, first, None))
    for part in rest:
        found = getattr(found, part, None)
    written = None if found is None else parse(inspect.formatannotation(found))
    if written is None:
        return ANY
    return _as_written(written) if isinstance(written, ast.Name | ast.Attribute) else Alias(written, _as_written)

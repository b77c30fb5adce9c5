"""What a class or function can be called with by keyword, read from its syntax tree.

`target_sources` finds the trees and follows inheritance; here is what one definition says.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Signature:
    """What a class or function can be called with by keyword."""

    parameters: tuple[str, ...]
    is_open: bool
    """It takes other keywords too, or its source is not ours to read."""


OPEN = Signature((), is_open=True)


def arguments_of(function: ast.FunctionDef, bound: bool) -> Signature:
    """The keywords of a function; `bound` leaves out its first argument."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args][1:] if bound else [*arguments.posonlyargs, *arguments.args]
    named = [each.arg for each in (*positional, *arguments.kwonlyargs) if each not in arguments.posonlyargs]
    # A decorator may add or take away arguments.
    decorated = any(last_name(each) not in {"staticmethod", "classmethod"} for each in function.decorator_list)
    return Signature(tuple(named), is_open=arguments.kwarg is not None or decorated)


def receiver_of(function: ast.FunctionDef) -> str | None:
    """The one name that a function calls with all its further keywords: `Settings` of `Settings(**settings)`."""
    if function.args.kwarg is None or function.decorator_list:
        return None
    rest = function.args.kwarg.arg
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == rest]
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and _hands_on(node, rest)]
    # Used in another way, too, it may hold more than that call takes.
    if len(uses) != 1 or len(calls) != 1 or not isinstance(calls[0].func, ast.Name):
        return None
    return calls[0].func.id


def _hands_on(call: ast.Call, rest: str) -> bool:
    spread = [each.value for each in call.keywords if each.arg is None]
    return any(isinstance(value, ast.Name) and value.id == rest for value in spread)


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether a class is decorated as a dataclass."""
    return any(last_name(each) == "dataclass" for each in node.decorator_list)


def fields_of(node: ast.ClassDef, inherited: Sequence[Signature]) -> Signature:
    """The constructor of a dataclass: the fields of its bases, then its own."""
    own = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    fields = [item.target.id for item in own if isinstance(item.target, ast.Name) and _is_field(item)]
    names = dict.fromkeys([*(name for each in inherited for name in each.parameters), *fields])
    return Signature(tuple(names), is_open=any(each.is_open for each in inherited))


def _is_field(item: ast.AnnAssign) -> bool:
    annotation = item.annotation.value if isinstance(item.annotation, ast.Subscript) else item.annotation
    excluded = isinstance(item.value, ast.Call) and any(
        keyword.arg == "init" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        for keyword in item.value.keywords
    )
    return last_name(annotation) not in {"ClassVar", "KW_ONLY"} and not excluded


def last_name(node: ast.expr) -> str:
    """`name` of `a.b.name` or `name(...)`; empty for any other expression."""
    if isinstance(node, ast.Call):
        return last_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""

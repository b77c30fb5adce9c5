"""What a class or function can be called with by keyword, read from its syntax tree.

`target_sources` finds the trees and follows inheritance; here is what one definition says.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from espnet3.config.modules import Module

_HARMLESS = {"staticmethod", "classmethod", "override", "deprecated", "abstractmethod"}
"""Decorators that leave the arguments as they are."""


@dataclass(frozen=True)
class Parameter:
    """What a definition says of one argument; nothing where it says nothing."""

    annotation: ast.expr | None = None
    default: ast.expr | None = None
    module: Module | None = None
    """Where it is written: what the names in the annotation stand for."""


@dataclass(frozen=True)
class Signature:
    """What a class or function can be called with by keyword."""

    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    is_open: bool = True
    """It takes other keywords too, or its source is not ours to read."""
    positions: tuple[str, ...] = ()
    """Those that it takes by position too, in order."""


OPEN = Signature()


def arguments_of(function: ast.FunctionDef, bound: bool, module: Module | None = None) -> Signature:
    """The keywords of a function; `bound` leaves out its first argument."""
    arguments = function.args
    ordered = [*arguments.posonlyargs, *arguments.args]
    defaults = dict(zip(reversed([each.arg for each in ordered]), reversed(arguments.defaults), strict=False))
    defaults |= {
        each.arg: value for each, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if value
    }
    positional = ordered[1:] if bound else ordered
    named = [each for each in (*positional, *arguments.kwonlyargs) if each not in arguments.posonlyargs]
    # A decorator may add or take away arguments, or change what they may be.
    if any(last_name(each) not in _HARMLESS for each in function.decorator_list):
        return Signature({each.arg: Parameter() for each in named})
    parameters = {each.arg: Parameter(each.annotation, defaults.get(each.arg), module) for each in named}
    places = () if arguments.posonlyargs else tuple(each.arg for each in positional)
    return Signature(parameters, arguments.kwarg is not None, places)


@dataclass(frozen=True)
class Receiver:
    """What a function calls with all its further keywords."""

    name: str
    """The class or function; empty for the constructor of the base class."""
    places: int
    """Positional arguments of that call."""
    keywords: tuple[str, ...]
    """Keywords that the call sets itself."""

    def left_of(self, taken: Signature) -> dict[str, Parameter]:
        """The arguments of the receiver that are left to the caller."""
        set_here = {*taken.positions[: self.places], *self.keywords}
        return {name: parameter for name, parameter in taken.parameters.items() if name not in set_here}


def receiver_of(function: ast.FunctionDef) -> Receiver | None:
    """`Settings` of `Settings(**settings)`, or the base class of `super().__init__(**settings)`."""
    if function.args.kwarg is None or function.decorator_list:
        return None
    rest = function.args.kwarg.arg
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == rest]
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call) and _hands_on(node, rest)]
    # Used in another way, too, it may hold more than that call takes; another spread may set any of it.
    if len(uses) != 1 or len(calls) != 1 or any(isinstance(each, ast.Starred) for each in calls[0].args):
        return None
    named = tuple(each.arg for each in calls[0].keywords if each.arg is not None)
    name = calls[0].func.id if isinstance(calls[0].func, ast.Name) else ""
    if len(named) + 1 != len(calls[0].keywords) or not (name or ast.unparse(calls[0].func) == "super().__init__"):
        return None
    return Receiver(name, len(calls[0].args), named)


def _hands_on(call: ast.Call, rest: str) -> bool:
    spread = [each.value for each in call.keywords if each.arg is None]
    return any(isinstance(value, ast.Name) and value.id == rest for value in spread)


def is_dataclass(node: ast.ClassDef) -> bool:
    """Whether a class is decorated as a dataclass."""
    return any(last_name(each) == "dataclass" for each in node.decorator_list)


def fields_of(node: ast.ClassDef, inherited: Sequence[Signature], module: Module | None = None) -> Signature:
    """The constructor of a dataclass: the fields of its bases, then its own."""
    own = [item for item in node.body if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)]
    fields = {
        item.target.id: Parameter(item.annotation, _default_of(item), module)
        for item in own
        if isinstance(item.target, ast.Name) and _is_field(item)
    }
    above = {name: parameter for each in reversed(inherited) for name, parameter in each.parameters.items()}
    order = dict.fromkeys([*(name for each in inherited for name in each.parameters), *fields])
    return Signature({name: (above | fields)[name] for name in order}, any(each.is_open for each in inherited))


def _default_of(item: ast.AnnAssign) -> ast.expr | None:
    """The value of a field, also where it is the `default` of `field(...)`."""
    if not isinstance(item.value, ast.Call):
        return item.value
    return next((keyword.value for keyword in item.value.keywords if keyword.arg == "default"), None)


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

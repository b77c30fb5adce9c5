"""The kinds of values that the arguments of a target take, read from its source.

`targets` asks for them. A name in an annotation is looked up in the module in which it is written; a class of ours, or
of the recipe, takes no plain value, one of a library is not known, and takes any.
"""

import ast
import builtins
from functools import partial

from espnet3.config.annotations import OBJECTS, Alias, Meaning, kind_of
from espnet3.config.kinds import ANY, NULL, Instance, Kind, either, fit
from espnet3.config.modules import Module
from espnet3.config.signatures import Parameter, last_name
from espnet3.config.target_sources import Found, Sources

_DATA_BASES = {
    *("Enum", "StrEnum", "IntEnum", "Flag", "IntFlag", "TypedDict", "NamedTuple"),
    *("str", "int", "float", "bool", "dict", "list", "tuple", "UserDict", "UserList"),
}
"""Bases with which a class may be made of a plain value, or be one."""
_DEEPEST = 12


def kind_of_parameter(parameter: Parameter, sources: Sources) -> Kind:
    """The kind of values that an argument takes.

    Args:
        parameter: the argument.
        sources: where the modules of its target are.
    """
    if parameter.annotation is None or parameter.module is None:
        return ANY
    kind = kind_of(parameter.annotation, partial(_meaning, sources, parameter.module))
    return with_default(kind, parameter.default)


def with_default(kind: Kind, default: ast.expr | None) -> Kind:
    """An argument takes its own default, too; a default that contradicts the annotation says that it is not meant."""
    try:
        value = ast.literal_eval(default) if default is not None else ...
    except ValueError:
        return kind
    if value is None:
        return either([kind, NULL])
    return ANY if isinstance(value, bool | int | float | str) and fit(kind, value).misfits else kind


def _meaning(sources: Sources, module: Module, node: ast.expr) -> Meaning:
    dotted = ast.unparse(node)
    first, _, rest = dotted.partition(".")
    statement = module.names.get(first)
    if statement is None:
        return f"builtins.{dotted}" if hasattr(builtins, dotted) else ANY
    if isinstance(statement, ast.Import):
        return _imported(statement, first, rest)
    if isinstance(statement, ast.ImportFrom):
        original = next(each.name for each in statement.names if (each.asname or each.name) == first)
        origin = ".".join(part for part in (module.absolute(statement), original, rest) if part)
        if rest or origin in OBJECTS or not sources.owns(origin):
            return origin
    found = None if rest else sources.definition(module, first)
    return _defined(sources, found) if found else ANY


def _imported(statement: ast.Import, first: str, rest: str) -> str:
    """`import a.b as c` makes `c.d` a.b.d; `import a.b` leaves `a.b.d` as it is."""
    renamed = next((each.name for each in statement.names if each.asname == first), first)
    return f"{renamed}.{rest}" if rest else renamed


def _defined(sources: Sources, found: Found) -> Meaning:
    node = found.node
    if isinstance(node, ast.ClassDef):
        return _instance(sources, node, found.module) if sources.are_ours else ANY
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    if isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp):
        return Alias(value, partial(_meaning, sources, found.module))
    return ANY


def _instance(sources: Sources, node: ast.ClassDef, module: Module) -> Kind:
    if _is_data(sources, node, module, 0):
        return ANY
    if not any(last_name(base.value if isinstance(base, ast.Subscript) else base) == "Protocol" for base in node.bases):
        return Instance(node.name)
    methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
    fields = [item.target for item in node.body if isinstance(item, ast.AnnAssign)]
    return Instance(node.name, (*methods, *(field.id for field in fields if isinstance(field, ast.Name))))


def _is_data(sources: Sources, node: ast.ClassDef, module: Module, depth: int) -> bool:
    """Whether a class is, or may be made of, a plain value; one with a metaclass of its own may be anything."""
    if depth > _DEEPEST or any(last_name(each.value) != "ABCMeta" for each in node.keywords):
        return True
    for base in node.bases:
        if last_name(base) in _DATA_BASES:
            return True
        found = sources.definition(module, base.id) if isinstance(base, ast.Name) else None
        if found and isinstance(found.node, ast.ClassDef) and _is_data(sources, found.node, found.module, depth + 1):
            return True
    return False

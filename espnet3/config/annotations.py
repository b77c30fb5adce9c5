"""From an annotation, as a syntax tree, to the kind of plain values that it takes.

`parameter_kinds` asks for those of sources that were read, `runtime_kinds` for those of objects that were imported;
each brings a function that says what a name stands for where the annotation was written. What is not understood takes
everything.
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass

from espnet3.config.kinds import (
    ANY,
    NULL,
    PATH,
    REAL,
    TEXT,
    TRUTH,
    WHOLE,
    Choice,
    Instance,
    Kind,
    Row,
    Several,
    Table,
    either,
)

_DEEPEST = 12
_STANDARD = {
    "builtins",
    "typing",
    "typing_extensions",
    "collections",
    "collections.abc",
    "dataclasses",
    "pathlib",
    "os",
    "types",
}
_PLAIN = {
    "int": WHOLE,
    "float": REAL,
    "bool": TRUTH,
    "str": TEXT,
    "LiteralString": TEXT,
    "Text": TEXT,
    "NoneType": NULL,
    "Callable": Instance("a function or class"),
}
_PATHS = {"Path", "PurePath", "PosixPath", "PurePosixPath", "PathLike"}
_LISTS = {
    "list",
    "List",
    "Sequence",
    "MutableSequence",
    "set",
    "Set",
    "AbstractSet",
    "frozenset",
    "FrozenSet",
    "Iterable",
    "Collection",
    "deque",
}
_MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "defaultdict"}
_WRAPPERS = {"Annotated", "Final", "InitVar", "ClassVar", "Required", "NotRequired", "ReadOnly"}
OBJECTS = {
    "torch.Tensor",
    "torch.Generator",
    "torch.nn.Module",
    "torch.nn.modules.module.Module",
    "torch.nn.Parameter",
    "torch.optim.Optimizer",
    "torch.optim.optimizer.Optimizer",
    "numpy.ndarray",
    "numpy.random.Generator",
}
"""Classes of libraries that certainly no plain value is one of."""


@dataclass(frozen=True)
class Alias:
    """A name that stands for another annotation."""

    annotation: ast.expr
    resolve: "Resolve"


Meaning = str | Kind | Alias
"""What a name stands for: a dotted name from the top of its package, a kind, or another annotation."""
Resolve = Callable[[ast.expr], Meaning]


def kind_of(node: ast.expr | None, resolve: Resolve, depth: int = 0) -> Kind:
    """The kind of plain values that an annotation takes."""
    if depth > _DEEPEST:
        return ANY
    match node:
        case ast.Constant():
            return _constant(node.value, resolve, depth)
        case ast.BinOp(op=ast.BitOr()):
            return either([kind_of(side, resolve, depth + 1) for side in (node.left, node.right)])
        case ast.Subscript():
            return _subscript(node, resolve, depth)
        case ast.Name() | ast.Attribute():
            return _name(node, resolve, depth)
    return ANY


def _name(node: ast.expr, resolve: Resolve, depth: int) -> Kind:
    meaning = resolve(node)
    if isinstance(meaning, Alias):
        return kind_of(meaning.annotation, meaning.resolve, depth + 1)
    return _named(meaning) if isinstance(meaning, str) else meaning


def _constant(value: object, resolve: Resolve, depth: int) -> Kind:
    if value is None:
        return NULL
    if isinstance(value, str) and (parsed := parse(value)) is not None:
        return kind_of(parsed, resolve, depth + 1)
    return ANY


def parse(text: str) -> ast.expr | None:
    """The tree of an annotation that is a text; None where it is not an expression."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        return None


def _standard(dotted: str) -> str:
    """The last part of a name of the standard library; empty for any other."""
    module, _, name = dotted.rpartition(".")
    return name if module in _STANDARD or module.startswith("pathlib.") else ""


def _named(dotted: str) -> Kind:
    name = _standard(dotted)
    if dotted in OBJECTS:
        return Instance(dotted.rpartition(".")[2])
    if name in _PATHS:
        return PATH
    if name in _LISTS | {"tuple", "Tuple"}:
        return Several()
    return Table() if name in _MAPPINGS else _PLAIN.get(name, ANY)


def _subscript(node: ast.Subscript, resolve: Resolve, depth: int) -> Kind:
    meaning = resolve(node.value) if isinstance(node.value, ast.Name | ast.Attribute) else ANY
    name = _standard(meaning) if isinstance(meaning, str) else ""
    arguments = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
    if name == "Literal":
        return _choices(arguments)
    kinds = [kind_of(each, resolve, depth + 1) for each in arguments]
    if name in {"tuple", "Tuple"}:
        return _row(arguments, kinds)
    return _generic(name, kinds) or (_named(meaning) if isinstance(meaning, str) else ANY)


def _generic(name: str, kinds: list[Kind]) -> Kind | None:
    if name in _WRAPPERS:
        return kinds[0]
    if name in {"Optional", "Union"}:
        return either([*kinds, *([NULL] if name == "Optional" else [])])
    if name in _LISTS:
        return Several(kinds[0])
    return Table(kinds[-1]) if name in _MAPPINGS and len(kinds) == 2 else None


def _row(arguments: list[ast.expr], kinds: list[Kind]) -> Kind:
    if any(isinstance(each, ast.Constant) and each.value is Ellipsis for each in arguments):
        return Several(kinds[0])
    unpacked = any(isinstance(each, ast.Starred) for each in arguments)
    return Several() if unpacked or isinstance(arguments[0], ast.Tuple) else Row(tuple(kinds))


def _choices(arguments: list[ast.expr]) -> Kind:
    values = []
    for each in arguments:
        try:
            values.append(ast.literal_eval(each))
        except ValueError:
            return ANY
    plain = tuple(value for value in values if value is not None)
    known = [Choice(plain)] if plain else []
    return either([*known, *([NULL] if None in values else [])])

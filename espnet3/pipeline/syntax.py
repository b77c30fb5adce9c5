"""What a piece of Python source is, whatever its comments and layout, and which names it uses. `code` asks here."""

import ast
import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from espnet3.config.modules import Module

NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
"""A dotted name."""
_SKIPPED = ("ctx", "type_comment", "kind", "lineno", "col_offset", "end_lineno", "end_col_offset", "type_ignores")


def syntax_digest(node: ast.AST) -> str:
    """sha256 of a syntax tree without docstrings, the same on every Python: what is empty counts as absent."""
    parts: list[str] = []
    _add(node, parts)
    return hashlib.sha256("\0".join([*parts, ""]).encode(errors="surrogatepass")).hexdigest()


def all_nodes(node: ast.AST) -> list[ast.AST]:
    """The node and all below it that say something, as `ast.walk` has them; that takes three times as long."""
    found = [node]
    for each in found:
        for name in _kept(each._fields):
            value = getattr(each, name, None)
            if isinstance(value, list):
                found.extend(child for child in value if isinstance(child, ast.AST))
            elif isinstance(value, ast.AST):
                found.append(value)
    return found


def names_used(nodes: Sequence[ast.AST]) -> list[str]:
    """The names that code uses, `a` or `a.b.c`, each once."""
    found = (
        _chain(each) if isinstance(each, ast.Attribute) else each.id
        for each in nodes
        if isinstance(each, ast.Attribute | ast.Name)
    )
    return [name for name in dict.fromkeys(found) if name]


def names_imported(nodes: Sequence[ast.AST], module: Module) -> dict[str, str]:
    """What code imports inside itself: the full dotted name by the name that it is used by."""
    found: dict[str, str] = {}
    for each in nodes:
        if isinstance(each, ast.ImportFrom):
            found |= {alias.asname or alias.name: f"{module.absolute(each)}.{alias.name}" for alias in each.names}
        elif isinstance(each, ast.Import):
            found |= {alias.asname or alias.name: alias.name for alias in each.names}
    return found


def names_in_texts(nodes: Sequence[ast.AST]) -> list[str]:
    """The texts in code that are dotted names, each once."""
    texts = (each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str))
    return list(dict.fromkeys(text for text in texts if NAME.fullmatch(text)))


def is_import_time(node: ast.stmt) -> bool:
    """Whether a statement of a module's top level does something when the module is imported.

    Definitions and imports count when they are used; a docstring, and what a type checker or `python FILE` alone sees,
    never does.
    """
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom):
        return False
    if isinstance(node, ast.Expr):
        return not isinstance(node.value, ast.Constant)
    if isinstance(node, ast.If):
        tested = {each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)}
        tested |= {each.attr for each in ast.walk(node.test) if isinstance(each, ast.Attribute)}
        return not tested & {"TYPE_CHECKING", "__name__"}
    return True


def is_plain_assignment(node: ast.stmt) -> bool:
    """Whether a statement only gives values to names: what it uses matters to who uses these names."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return bool(targets) and all(isinstance(target, ast.Name | ast.Tuple) for target in targets)


def _chain(node: ast.Attribute) -> str:
    """`a.b.c` of an attribute of an attribute of a name; empty for any other expression."""
    parts = [node.attr]
    value = node.value
    while isinstance(value, ast.Attribute):
        parts.append(value.attr)
        value = value.value
    return ".".join([value.id, *reversed(parts)]) if isinstance(value, ast.Name) else ""


def _add(node: Any, parts: list[str]) -> None:
    """Append what a tree consists of; one list for all of it, since a plan does this for a thousand definitions."""
    if isinstance(node, ast.JoinedStr):
        parts.append("JoinedStr")
        for each in _merged(node.values):
            _add(each, parts)
        parts.append(")")
    elif isinstance(node, ast.AST):
        parts.append(type(node).__name__)
        for name in _kept(node._fields):
            value = getattr(node, name, None)
            if value is not None and value != []:
                parts.append(name)
                _add(_without_docstring(node, value) if name == "body" else value, parts)
        parts.append(")")
    elif isinstance(node, list):
        for each in node:
            _add(each, parts)
        parts.append("]")
    else:
        parts.append(repr(node))


@cache
def _kept(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in fields if name not in _SKIPPED)


def _merged(values: list[ast.expr]) -> Iterator[ast.expr | str]:
    """The parts of an f-string, whose plain texts some versions of Python cut in two."""
    text = ""
    for value in values:
        if isinstance(value, ast.Constant):
            text += str(value.value)
            continue
        if text:
            yield text
        text = ""
        yield value
    if text:
        yield text


def _without_docstring(node: ast.AST, body: Any) -> Any:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return body
    return body[1:] if ast.get_docstring(node, clean=False) is not None else body

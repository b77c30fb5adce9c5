"""What a dotted name stands for, read from the source and never imported.

`targets` asks here for the classes and functions that a config names by `_target_`. Modules are searched below
given roots; a name is followed through `from … import` and simple assignments, a class to the bases that it inherits
its constructor from. Code that is not in the roots stays unknown and is judged by nobody.

Not by griffe (2.4), which takes 0.13 s to be imported and 0.25 s to read this package, or 0.015 s for ten modules named
one by one, and knows nothing of keywords that a constructor hands on; this takes 0.015 s for the digits recipe in all.
"""

import ast
import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet3.config.findings import nearest
from espnet3.config.modules import Module
from espnet3.config.signatures import OPEN, Signature, arguments_of, fields_of, is_dataclass, last_name, receiver_of

_DEEPEST = 12
_LARGEST = 150_000
"""Bytes of a library's module that is worth the time to parse, about 0.1 s."""
_LEAVE_CONSTRUCTOR = {"final", "runtime_checkable", "total_ordering", "deprecated"}
"""Decorators that give a class no constructor, as `attrs.define` would."""
_PLAIN_BASES = {"object", "ABC", "Protocol", "Generic", "Sequence", "Mapping", "Callable", "Iterable", "Iterator"}


class UnknownNameError(LookupError):
    """A sentence about which part of a dotted name does not exist, and what comes near it."""


@dataclass(frozen=True)
class Found:
    """A definition, and the module that it is in."""

    node: ast.stmt
    module: Module


class Sources:
    """The modules below some roots.

    Args:
        roots: {top-level package: folders that may hold it}.
        are_ours: they are this project's or a recipe's, not a library's.
    """

    def __init__(self, roots: Mapping[str, Sequence[Path]], are_ours: bool = True) -> None:
        self.are_ours = are_ours
        self._roots = roots
        self._modules: dict[str, Module | None] = {}

    def owns(self, dotted: str) -> bool:
        """Whether this name is ours to read."""
        return dotted.partition(".")[0] in self._roots

    def signature(self, dotted: str) -> Signature:
        """The keywords that calling `dotted` takes.

        Raises:
            UnknownNameError: there is no such module, or the module has no such name.
            SyntaxError: a module on the way is not valid Python.
        """
        module, attributes = self.longest_module(dotted)
        if not attributes:
            raise UnknownNameError(f"{dotted} is a module; name a class or function in it")
        found = self._find(module, attributes[0], 0)
        if isinstance(found, Signature):
            return found
        return self._method(found, attributes[1]) if len(attributes) > 1 else self._callable(found, 0)

    def definition(self, module: Module, name: str) -> Found | None:
        """The statement that defines what `name` is in a module; None where it is not in the roots."""
        try:
            found = self._find(module, name, 0)
        except (UnknownNameError, SyntaxError):
            return None
        return found if isinstance(found, Found) else None

    def longest_module(self, dotted: str) -> tuple[Module, list[str]]:
        """The module that `dotted` begins with, and the names that remain.

        Raises:
            UnknownNameError: there is no such module.
            SyntaxError: the module is not valid Python.
        """
        parts = dotted.split(".")
        for length in range(len(parts), 0, -1):
            if module := self.module(".".join(parts[:length])):
                break
        else:
            raise UnknownNameError(f"there is no package {parts[0]}")
        rest = parts[length:]
        if len(rest) > 1 and rest[0] not in module.names:
            raise UnknownNameError(
                f"there is no module {module.name}.{rest[0]}{_hint(rest[0], _submodules(module), 'modules')}"
            )
        return module, rest

    def module(self, dotted: str) -> Module | None:
        """The module of this name; None where there is none below the roots."""
        if dotted not in self._modules:
            self._modules[dotted] = self._find_module(dotted)
        return self._modules[dotted]

    def _find_module(self, dotted: str) -> Module | None:
        parts = dotted.split(".")
        folders = None
        for root in self._roots.get(parts[0], ()):
            base = root.joinpath(*parts)
            for path in (base / "__init__.py", base.with_name(f"{base.name}.py")):
                if path.is_file():
                    return Module(dotted, path) if self.are_ours or path.stat().st_size < _LARGEST else None
            folders = folders or (base if base.is_dir() else None)
        return Module(dotted, folders) if folders else None

    def _find(self, module: Module, name: str, depth: int) -> "Found | Signature":
        names = module.names
        statement = names.get(name)
        if statement is None:
            return self._find_elsewhere(module, name, depth)
        if depth > _DEEPEST or isinstance(statement, ast.Import):
            return OPEN
        if isinstance(statement, ast.ImportFrom):
            return self._follow(module, statement, name, depth)
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
            other = statement.value.id
            if other in names or not hasattr(builtins, other):
                return self._find(module, other, depth + 1)
        return Found(statement, module)

    def _find_elsewhere(self, module: Module, name: str, depth: int) -> "Found | Signature":
        stars = [each for key, each in module.names.items() if key.startswith("*") and isinstance(each, ast.ImportFrom)]
        if "__getattr__" in module.names:
            return OPEN
        for star in stars:
            origin = self.module(module.absolute(star))
            if origin is None:
                return OPEN
            try:
                return self._find(origin, name, depth + 1)
            except UnknownNameError:
                continue
        kind = "names" if module.names else "modules"
        known = [*module.names, *_submodules(module)]
        raise UnknownNameError(f"{module.name} has no {name}{_hint(name, known, kind)}")

    def _follow(self, module: Module, statement: ast.ImportFrom, name: str, depth: int) -> "Found | Signature":
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
        origin = module.absolute(statement)
        if not self.owns(origin) or self.module(f"{origin}.{original}"):
            return OPEN
        source = self.module(origin)
        if source is None:
            raise UnknownNameError(f"{module.name} takes {name} from {origin}, which does not exist")
        return self._find(source, original, depth + 1)

    def _callable(self, found: Found, depth: int) -> Signature:
        if isinstance(found.node, ast.ClassDef):
            return self._constructor(found.node, found.module, depth) or Signature(is_open=False)
        if isinstance(found.node, ast.FunctionDef):
            return arguments_of(found.node, False, found.module)
        return OPEN

    def _method(self, found: Found, name: str) -> Signature:
        if not isinstance(found.node, ast.ClassDef):
            return OPEN
        methods = {item.name: item for item in found.node.body if isinstance(item, ast.FunctionDef)}
        if name in methods:
            static = any(last_name(each) == "staticmethod" for each in methods[name].decorator_list)
            return arguments_of(methods[name], not static, found.module)
        if found.node.bases:
            return OPEN
        raise UnknownNameError(f"{found.module.name}.{found.node.name} has no method {name}{_hint(name, methods)}")

    def _constructor(self, node: ast.ClassDef, module: Module, depth: int) -> Signature | None:
        """None where a class and its bases define no constructor."""
        if depth > _DEEPEST or any(
            each.arg == "metaclass" and last_name(each.value) != "ABCMeta" for each in node.keywords
        ):
            return OPEN
        functions = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
        for name in ("__init__", "__new__"):
            if name in functions:
                return self._handed_on(functions[name], node, module, depth)
        inherited = [self._base(base, module, depth) for base in node.bases]
        if is_dataclass(node):
            return fields_of(node, [each for each in inherited if each is not None], module)
        if any(last_name(each) not in _LEAVE_CONSTRUCTOR for each in node.decorator_list):
            return OPEN
        return next((each for each in inherited if each is not None), None)

    def _handed_on(self, function: ast.FunctionDef, node: ast.ClassDef, module: Module, depth: int) -> Signature:
        """The keywords of a constructor; `**settings` that it hands to one class, as in `Settings(**settings)` or in
        `super().__init__(**settings)`, are the keywords of that class.
        """
        own = arguments_of(function, True, module)
        receiver = receiver_of(function)
        if receiver is None:
            return own
        taken = self._named(module, receiver.name, depth) if receiver.name else self._above(node, module, depth)
        if taken.is_open:
            return own
        return Signature({**own.parameters, **receiver.left_of(taken), **own.parameters}, False, own.positions)

    def _named(self, module: Module, name: str, depth: int) -> Signature:
        try:
            found = self._find(module, name, depth + 1)
        except UnknownNameError:
            return OPEN
        return OPEN if isinstance(found, Signature) else self._callable(found, depth + 1)

    def _above(self, node: ast.ClassDef, module: Module, depth: int) -> Signature:
        """The constructor of the one base class; of several, the next one depends on the class that is made."""
        inherited = [self._base(base, module, depth) for base in node.bases]
        known = [each for each in inherited if each is not None]
        return known[0] if len(known) == 1 else OPEN

    def _base(self, base: ast.expr, module: Module, depth: int) -> Signature | None:
        base = base.value if isinstance(base, ast.Subscript) else base
        if last_name(base) in _PLAIN_BASES:
            return None
        if not isinstance(base, ast.Name):
            return OPEN
        try:
            found = self._find(module, base.id, depth + 1)
        except UnknownNameError:
            return OPEN
        if isinstance(found, Signature):
            return found
        return self._constructor(found.node, found.module, depth + 1) if isinstance(found.node, ast.ClassDef) else OPEN


def _submodules(module: Module) -> list[str]:
    if not module.is_package:
        return []
    folder = module.path if module.path.is_dir() else module.path.parent
    return sorted(path.stem for path in folder.iterdir() if path.suffix == ".py" or path.is_dir())


def _hint(name: str, known: Mapping[str, object] | Sequence[str], kind: str = "") -> str:
    public = [each for each in known if not each.startswith(("_", "*"))]
    if similar := nearest(name, public, 0.6):
        return f"; did you mean {similar}?"
    return f"; its {kind or 'names'} are {', '.join(sorted(public)[:12])}" if public else ""

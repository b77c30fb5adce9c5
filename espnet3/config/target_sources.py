"""What a dotted name stands for, read from the source and never imported.

`targets` asks here for the classes and functions that a config names by `_target_`. Modules are searched below
given roots; a name is followed through `from … import` and simple assignments, a class to the bases that it inherits
its constructor from. Code that is not in the roots stays unknown and is judged by nobody.

Not by griffe (2.4), which takes 0.13 s to be imported and 0.25 s to read this package, or 0.015 s for ten modules named
one by one, and knows nothing of keywords that a constructor hands on; this takes 0.015 s for the digits recipe in all.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from espnet3.config.findings import nearest
from espnet3.config.signatures import OPEN, Signature, arguments_of, fields_of, is_dataclass, last_name, receiver_of

_DEEPEST = 12
_PLAIN_BASES = {"object", "ABC", "Protocol", "Generic", "Sequence", "Mapping", "Callable", "Iterable", "Iterator"}


class UnknownNameError(LookupError):
    """A sentence about which part of a dotted name does not exist, and what comes near it."""


@dataclass(frozen=True)
class _Found:
    node: ast.stmt
    module: "Module"


@dataclass(frozen=True)
class Module:
    """A module below one of the roots."""

    name: str
    path: Path
    """The file, or the folder of a package without `__init__.py`."""

    @property
    def is_package(self) -> bool:
        """Whether it may hold further modules."""
        return self.path.is_dir() or self.path.name == "__init__.py"

    @cached_property
    def names(self) -> Mapping[str, ast.stmt]:
        """What the module's top level binds: the statement of each name; a star import has the name `*<line>`."""
        return dict(_bindings(self.body))

    @cached_property
    def body(self) -> Sequence[ast.stmt]:
        """The statements of the module; none of a package without `__init__.py`."""
        return () if self.path.is_dir() else _parse(self.path, read_source(self.path)).body

    def absolute(self, statement: ast.ImportFrom) -> str:
        """The module that a (possibly relative) import names."""
        if not statement.level:
            return statement.module or ""
        package = self.name.split(".")
        package = package[: len(package) - statement.level + (1 if self.is_package else 0)]
        return ".".join([*package, *([statement.module] if statement.module else [])])


class Sources:
    """The modules below some roots: {top-level package: folders that may hold it}."""

    def __init__(self, roots: Mapping[str, Sequence[Path]]) -> None:
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
                    return Module(dotted, path)
            folders = folders or (base if base.is_dir() else None)
        return Module(dotted, folders) if folders else None

    def _find(self, module: Module, name: str, depth: int) -> "_Found | Signature":
        names = module.names
        statement = names.get(name)
        if statement is None:
            return self._find_elsewhere(module, name, depth)
        if depth > _DEEPEST or isinstance(statement, ast.Import):
            return OPEN
        if isinstance(statement, ast.ImportFrom):
            return self._follow(module, statement, name, depth)
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Name):
            return self._find(module, statement.value.id, depth + 1)
        return _Found(statement, module)

    def _find_elsewhere(self, module: Module, name: str, depth: int) -> "_Found | Signature":
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

    def _follow(self, module: Module, statement: ast.ImportFrom, name: str, depth: int) -> "_Found | Signature":
        original = next(alias.name for alias in statement.names if (alias.asname or alias.name) == name)
        origin = module.absolute(statement)
        if not self.owns(origin) or self.module(f"{origin}.{original}"):
            return OPEN
        source = self.module(origin)
        if source is None:
            raise UnknownNameError(f"{module.name} takes {name} from {origin}, which does not exist")
        return self._find(source, original, depth + 1)

    def _callable(self, found: _Found, depth: int) -> Signature:
        if isinstance(found.node, ast.ClassDef):
            return self._constructor(found.node, found.module, depth) or Signature((), is_open=False)
        if isinstance(found.node, ast.FunctionDef):
            return arguments_of(found.node, bound=False)
        return OPEN

    def _method(self, found: _Found, name: str) -> Signature:
        if not isinstance(found.node, ast.ClassDef):
            return OPEN
        methods = {item.name: item for item in found.node.body if isinstance(item, ast.FunctionDef)}
        if name in methods:
            static = any(last_name(each) == "staticmethod" for each in methods[name].decorator_list)
            return arguments_of(methods[name], bound=not static)
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
                return self._handed_on(functions[name], module, depth)
        inherited = [self._base(base, module, depth) for base in node.bases]
        if is_dataclass(node):
            return fields_of(node, [each for each in inherited if each is not None])
        return next((each for each in inherited if each is not None), None)

    def _handed_on(self, function: ast.FunctionDef, module: Module, depth: int) -> Signature:
        """The keywords of a constructor; `**settings` that it hands to one class, as in `Settings(**settings)`, are
        the keywords of that class.
        """
        own = arguments_of(function, bound=True)
        receiver = receiver_of(function)
        if receiver is None:
            return own
        try:
            found = self._find(module, receiver, depth + 1)
        except UnknownNameError:
            return own
        taken = OPEN if isinstance(found, Signature) else self._callable(found, depth + 1)
        return own if taken.is_open else Signature((*own.parameters, *taken.parameters), is_open=False)

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


def read_source(path: Path) -> bytes:
    """A file of Python source, which is read once however often it is asked for, as long as it stays as it is."""
    status = path.stat()
    return _read(path, (status.st_ino, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=1024)
def _read(path: Path, _signature: tuple[int, int, int]) -> bytes:
    return path.read_bytes()


@lru_cache(maxsize=1024)
def _parse(path: Path, source: bytes) -> ast.Module:
    return ast.parse(source, filename=str(path))


def _bindings(body: Sequence[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    for statement in body:
        if isinstance(statement, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield statement.name, statement
        elif isinstance(statement, ast.Import | ast.ImportFrom):
            for place, alias in enumerate(statement.names):
                yield (f"*{statement.lineno}.{place}" if alias.name == "*" else alias.asname or alias.name), statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from ((target.id, statement) for target in targets if isinstance(target, ast.Name))
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            for block in (getattr(statement, name, []) for name in ("orelse", "body", "finalbody")):
                yield from _bindings(block)


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

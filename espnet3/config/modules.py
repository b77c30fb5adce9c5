"""Python modules as their source has them: which statement binds which name, without importing anything.

`target_sources` looks names up in them, `signatures` says where an argument is written; the fingerprints of code
(`espnet3.pipeline.code`) read the same trees, each of which is parsed once.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path


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

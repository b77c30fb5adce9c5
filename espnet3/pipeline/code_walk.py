"""A walk over the definitions that a stage's code leads to: `code` begins one for each stage.

It follows every name that a definition uses into the source of espnet3 and of the recipe, and puts down a digest of
each definition. Nothing is imported.
"""

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from espnet3.config.modules import Module
from espnet3.config.target_sources import Sources, UnknownNameError
from espnet3.pipeline.spec import System
from espnet3.pipeline.syntax import (
    NAME,
    all_nodes,
    is_import_time,
    is_plain_assignment,
    names_imported,
    names_in_texts,
    names_used,
    syntax_digest,
)
from espnet3.runtime.versions import system_name

PLUMBING = ("errors", "runtime", "config", "pipeline", "recipe", "parallel")
"""Rooms of espnet3 that reach no byte of a product."""
OWN = ("src", "dataset", "run", "egs3")
"""Packages whose code is a recipe's."""
_DYNAMIC = {"importlib", "import_module", "__import__", "exec", "eval", "runpy"}
_OF_CONFIGS = ("stage_specs", "config_models")
"""Of a System: what they say reaches products through the configs alone, and these count themselves."""
_PATH_INTO = re.compile(r"(?:^|(?<=[\s'\"]))(src|dataset)/[\w./-]+")
Digests = dict[str, str]
"""Dotted name of a definition, or path of a recipe's file, with its digest."""


@dataclass(frozen=True)
class Definition:
    """What is known of a piece of code, whichever stage uses it."""

    digest: str
    used: tuple[str, ...]
    imported: Mapping[str, str]
    texts: tuple[str, ...]
    is_dynamic: bool


class Walk:
    """One walk over the definitions that some names lead to."""

    def __init__(
        self, sources: Sources, files: Mapping[str, str], known: dict[int, Definition], system: type[System]
    ) -> None:
        self.digests: Digests = {}
        self._sources = sources
        self._files = files
        self._known = known
        self._bases = {system_name(cls): cls for cls in system.__mro__ if cls is not object}
        self._seen: set[tuple[str, str]] = set()

    def text(self, text: str) -> None:
        """What a setting names: a dotted name of ours, or a path into the recipe's code."""
        if NAME.fullmatch(text):
            self.dotted(text)
        for match in _PATH_INTO.finditer(text):
            self._files_below(f"{match[1]}/")

    def dotted(self, name: str) -> None:
        """What a dotted name of ours stands for; any other is passed over."""
        if not self._sources.owns(name) or _is_plumbing(name):
            return
        try:
            module, rest = self._sources.longest_module(name)
            if rest:
                self._definition(module, rest[0])
            else:
                self._import_time(module)
        except (UnknownNameError, SyntaxError):
            return  # the checks of the config say so

    def members(self, names: Iterable[str]) -> None:
        """Members of the System's class, and what of itself they use, wherever in its bases they are defined."""
        for name in names:
            for dotted, cls in self._bases.items():
                if name in vars(cls) and name not in _OF_CONFIGS and (name, dotted) not in self._seen:
                    self._seen.add((name, dotted))
                    self._member(dotted, cls, name)

    def _member(self, dotted: str, cls: type, name: str) -> None:
        module = self._sources.module(dotted.rpartition(".")[0]) if self._sources.owns(dotted) else None
        node = module and module.names.get(cls.__name__)
        if module is None or not isinstance(node, ast.ClassDef):
            self.digests[dotted] = ""  # its name is all that is known of it
            return
        if _top(dotted) in OWN:  # a class of the recipe may use the rest of it in ways that no name tells
            self._recipe_files(module)
        members = _members(node, name)
        self.digests[f"{dotted}.{name}"] = _hash("".join(self._look_at(member, module).digest for member in members))
        for member in members:
            self._follow(module, member)
            self.members(_own_attributes(member))

    def _look_at(self, node: ast.AST, module: Module) -> Definition:
        if id(node) not in self._known:  # the trees live as long as their modules, which the sources keep
            nodes = all_nodes(node)
            used = names_used(nodes)
            self._known[id(node)] = Definition(
                digest=syntax_digest(node),
                used=tuple(used),
                imported=names_imported(nodes, module),
                texts=tuple(names_in_texts(nodes)),
                is_dynamic=not _DYNAMIC.isdisjoint(part for name in used for part in name.split(".")),
            )
        return self._known[id(node)]

    def _definition(self, module: Module, name: str) -> None:
        if (module.name, name) in self._seen or _is_plumbing(module.name) or f"{module.name}.{name}" in self._bases:
            return  # of the System, only the members count that the stage uses
        self._seen.add((module.name, name))
        self._import_time(module)
        node = module.names.get(name)
        if node is None:
            self._elsewhere(module, name)
        elif isinstance(node, ast.ImportFrom):
            self.dotted(f"{module.absolute(node)}.{_original(node, name)}")
        elif not isinstance(node, ast.Import):
            self.digests[f"{module.name}.{name}"] = self._look_at(node, module).digest
            self._follow(module, node)

    def _elsewhere(self, module: Module, name: str) -> None:
        """A name that the module's top level does not bind: a submodule, or of a star import."""
        if below := self._sources.module(f"{module.name}.{name}"):
            self._import_time(below)
            return
        for key, statement in module.names.items():
            if key.startswith("*") and isinstance(statement, ast.ImportFrom):
                self.dotted(f"{module.absolute(statement)}.{name}")

    def _follow(self, module: Module, node: ast.AST) -> None:
        """Go on with every name that a definition uses."""
        bindings, known = module.names, self._look_at(node, module)
        for used in known.used:
            head, _, rest = used.partition(".")
            bound = bindings.get(head)
            if head in known.imported:
                self._through_import(known.imported[head], rest)
            elif isinstance(bound, ast.Import):
                self.dotted(f"{_original(bound, head)}.{rest}".rstrip("."))
            elif isinstance(bound, ast.ImportFrom):
                self._through_import(f"{module.absolute(bound)}.{_original(bound, head)}", rest)
            elif bound is not None:
                self._definition(module, head)
        for name in (*known.imported.values(), *known.texts):
            self.dotted(name)
        if known.is_dynamic and _top(module.name) in OWN:
            self._recipe_files(module)

    def _through_import(self, name: str, rest: str) -> None:
        """A name that was imported, which may be a module of which an attribute is used."""
        is_module = self._sources.owns(name) and self._sources.module(name) is not None
        self.dotted(f"{name}.{rest}" if is_module and rest else name)

    def _import_time(self, module: Module) -> None:
        """What runs when a module is imported, for whoever imports anything of it."""
        if (module.name, "") in self._seen or _is_plumbing(module.name):
            return
        self._seen.add((module.name, ""))
        statements = [node for node in module.body if is_import_time(node)]
        if statements:
            self.digests[f"{module.name} (module level)"] = _hash(
                "".join(self._look_at(node, module).digest for node in statements)
            )
        for node in statements:
            if not is_plain_assignment(node):
                self._follow(module, node)
        for imported in [module.name.rpartition(".")[0], *_imported_modules(module)]:
            if imported and self._sources.owns(imported) and (other := self._sources.module(imported)):
                self._import_time(other)
        if _top(module.name) in OWN and module.name != "run":
            self._data_beside(module)

    def _data_beside(self, module: Module) -> None:
        """What lies beside a recipe's code and is no code: it may be read."""
        folder = PurePosixPath(*module.name.split("."))
        folder = folder if module.is_package else folder.parent
        for path in self._files:
            if PurePosixPath(path).parent == folder and not path.endswith(".py"):
                self.digests[path] = _digest_of_file(path, self._files[path])

    def _recipe_files(self, module: Module) -> None:
        """All code of the recipe that a module belongs to: its folder; for run.py, src/."""
        parts = module.name.split(".")
        self._files_below({"run": "src/", "egs3": "/".join([*parts[:4], ""])}.get(parts[0], f"{parts[0]}/"))

    def _files_below(self, folder: str) -> None:
        for path, text in self._files.items():
            if path.startswith(folder):
                self.digests[path] = _digest_of_file(path, text)


@lru_cache(maxsize=1024)
def _digest_of_file(path: str, text: str) -> str:
    if path.endswith(".py"):
        with suppress(SyntaxError):
            return syntax_digest(ast.parse(text))
    return _hash(text)


def _original(node: ast.Import | ast.ImportFrom, name: str) -> str:
    """What an import calls by `name`; of `import a.b`, the name a stands for a."""
    for alias in node.names:
        if alias.asname == name or (alias.asname is None and alias.name == name):
            return alias.name
    return name


def _members(node: ast.ClassDef, name: str) -> list[ast.stmt]:
    """The statements of a class body that define `name`; a property's setter is one more."""
    functions = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == name]
    targets = {
        each: each.targets if isinstance(each, ast.Assign) else [each.target]
        for each in node.body
        if isinstance(each, ast.Assign | ast.AnnAssign)
    }
    assigned = [
        each
        for each, found in targets.items()
        if any(isinstance(target, ast.Name) and target.id == name for target in found)
    ]
    return [*functions, *assigned]


def _own_attributes(node: ast.AST) -> list[str]:
    """`x` of each `self.x`, `cls.x`, `super().x` and `type(self).x`."""
    found = []
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            value = each.value
            called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id
            if (isinstance(value, ast.Name) and value.id in ("self", "cls")) or called in ("super", "type"):
                found.append(each.attr)
    return list(dict.fromkeys(found))


def _imported_modules(module: Module) -> Iterator[str]:
    for node in module.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield module.absolute(node)


def _is_plumbing(name: str) -> bool:
    return name.startswith("espnet3.") and name.split(".")[1] in PLUMBING


def _top(name: str) -> str:
    return name.partition(".")[0]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()

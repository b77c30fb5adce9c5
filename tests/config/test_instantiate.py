"""A `_target_` node becomes the object that it names, as in Hydra, or an error that names key and reason."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from espnet3.config.instantiate import build, prepare
from espnet3.errors import ConfigError, DataError

MODULES = {
    "made/__init__.py": "shadowed = 'an attribute, not the module'\n",
    "made/shadowed.py": "Thing = 1\n",
    "made/parts.py": """
import dataclasses, typing
from espnet3.errors import DataError

class Part:
    def __init__(self, *args, **keywords):
        self.args, self.keywords = args, keywords
    def __eq__(self, other):
        return isinstance(other, Part) and (self.args, self.keywords) == (other.args, other.keywords)
    def __repr__(self):
        return f"Part({self.args}, {self.keywords})"
    @classmethod
    def made(cls, size):
        return cls(size=size)

class Strict:
    def __init__(self, size, features=None):
        if size < 1:
            raise ValueError("the size must be positive.")

def refuse(text):
    raise DataError(text)

def bug():
    return {}["key"]

def drop(values):
    values["inner"].clear()
    return values

SIZE = 3
""",
    "made/lacking.py": "\nimport no_such_package\n",
    "made/wrong_name.py": "from made.parts import Prat\n",
    "made/broken.py": "x = (\n",
}


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, text in MODULES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in [each for each in sys.modules if each.partition(".")[0] == "made"]:
        del sys.modules[name]


def node(name: str = "Part", **keywords: Any) -> dict[str, Any]:
    return {"_target_": f"made.parts.{name}", **keywords}


def part(*args: Any, **keywords: Any) -> Any:
    from made.parts import Part  # type: ignore[import-not-found]

    return Part(*args, **keywords)


BUILT: dict[str, tuple[dict[str, Any], Callable[[], Any]]] = {
    "keywords": (node(a=1, b=[1, {"c": None}]), lambda: part(a=1, b=[1, {"c": None}])),
    "a method": (node("Part.made", size=2), lambda: part(size=2)),
    "a builtin": ({"_target_": "builtins.dict", "a": 1}, lambda: {"a": 1}),
    "positions": (node(_args_=[1, node(a=2)], b=3), lambda: part(1, part(a=2), b=3)),
    "a node in a node": (node(inner=node(a=1)), lambda: part(inner=part(a=1))),
    "nodes in a list": (node(inner=[node(), node(a=2)]), lambda: part(inner=[part(), part(a=2)])),
    "nodes in a mapping": (node(inner={"x": {"y": node(a=1)}}), lambda: part(inner={"x": {"y": part(a=1)}})),
    "not recursive": (node(_recursive_=False, inner=node(a=1)), lambda: part(inner=node(a=1))),
    "recursive again": (
        node(inner={"_recursive_": False, "x": node(_recursive_=True, y=node())}),
        lambda: part(inner={"_recursive_": False, "x": part(y=part())}),
    ),
    "inherits not being recursive": (
        node(inner={"_recursive_": False, "x": node(y=node())}),
        lambda: part(inner={"_recursive_": False, "x": part(y=node())}),
    ),
    "conversion is always all": (node(_convert_="none", a=[1]), lambda: part(a=[1])),
    "a tuple becomes a list": (node(a=(1, node())), lambda: part(a=[1, part()])),
    "text that looks like a reference": (node(a="${b}"), lambda: part(a="${b}")),
}


@pytest.mark.parametrize(("config", "expected"), BUILT.values(), ids=BUILT)
def test_a_node_becomes_what_it_names(config: dict[str, Any], expected: Callable[[], Any]) -> None:
    assert build(config, "model") == expected()


def test_what_exists_at_run_time_alone_comes_on_top() -> None:
    assert build(node(a=1, b=2), "model", b=[3]) == part(a=1, b=[3])
    assert prepare(node(a=1), "model")(4, c=5) == part(4, a=1, c=5)


def test_a_partial_node_waits_for_the_rest() -> None:
    inner = build(node(inner=node(_partial_=True, a=1)), "model").keywords["inner"]
    assert inner(b=2) == part(a=1, b=2)


def test_prepare_leaves_the_object_itself_to_its_caller() -> None:
    prepared = prepare(node("Strict", size=0), "model")
    with pytest.raises(ValueError, match="must be positive"):
        prepared()


def test_the_config_stays_as_it_is() -> None:
    for flags in ({}, {"_recursive_": False}):
        config = node("drop", values={"inner": [1]}, **flags)
        assert build(config, "model") == {"inner": []}
        assert config["values"] == {"inner": [1]}


REFUSED: dict[str, tuple[dict[Any, Any], str]] = {
    "no target": ({"size": 1}, r"^model\._target_: None is not the dotted name of a class or function"),
    "not a name": ({"_target_": "made..Part"}, r"^model\._target_: 'made\.\.Part' is not the dotted name"),
    "a number": ({"_target_": 3}, r"^model\._target_: 3 is not the dotted name"),
    "no package": ({"_target_": "no_such.Thing"}, r"no_such\.Thing does not resolve: there is no package no_such\."),
    "no module": ({"_target_": "made.prats.Part"}, r"made\.prats\.Part does not resolve: made has no prats"),
    "no name": (node("Prat"), r"made\.parts\.Prat does not resolve: made\.parts has no Prat; did you mean Part\?"),
    "no method": (node("Part.mad"), r"made\.parts\.Part has no mad; did you mean made\?"),
    "an attribute shadows": ({"_target_": "made.shadowed.Thing"}, r"made\.shadowed has no Thing\."),
    "a module": ({"_target_": "made.parts"}, r"^model: made\.parts is a module; name a class or function\."),
    "a value": (node("SIZE"), r"^model: made\.parts\.SIZE is of type int; name a class or function\."),
    "imports what is not there": (
        {"_target_": "made.lacking.Thing"},
        r"made\.lacking\.Thing does not resolve: \S+made/lacking\.py:2: No module named 'no_such_package'\.",
    ),
    "imports a name that is not there": (
        {"_target_": "made.wrong_name.Thing"},
        r"\S+made/wrong_name\.py:1: cannot import name 'Prat' from 'made\.parts'",
    ),
    "is not Python": ({"_target_": "made.broken.Thing"}, r"\S+made/broken\.py:1: '\(' was never closed\."),
    "below": (node(inner=[{"x": node("Prat")}]), r"^model\.inner\.0\.x: made\.parts\.Prat does not"),
    "below in a position": (node(_args_=[node("Prat")]), r"^model\._args_\.0: made\.parts\.Prat "),
    "positions are no list": (node(_args_="ab"), r"^model\._args_: 'ab' is not a list of positional arguments"),
    "a flag is text": (node(_recursive_="maybe"), r"^model\._recursive_: needs true or false, and 'maybe' is text"),
    "a flag below is text": (
        node(a=node(_partial_=2)),
        r"^model\.a\._partial_: needs true or false, and 2 is a number",
    ),
    "a key is a number": ({**node(), 1: 2}, r"^model: 1 is not the name of an argument of made\.parts\.Part\."),
    "an argument is unknown": (
        node("Strict", sise=1),
        r"^model\.sise: made\.parts\.Strict takes no sise; did you mean size\?$",
    ),
    "a value is refused": (
        node("Strict", size=-1, features=node()),
        r"^model \(made\.parts\.Strict, given size=-1, features=Part\): the size must be positive\.$",
    ),
    "a value below is refused": (
        node(inner=node("Strict", size=0)),
        r"^model\.inner \(made\.parts\.Strict, given size=0\): ",
    ),
}


@pytest.mark.parametrize(("config", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_built_is_named_by_its_key(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(config, "model")


def test_what_a_target_says_itself_stays_as_it_is() -> None:
    with pytest.raises(DataError, match=r"^the file is gone$"):
        build(node(inner=node("refuse", text="the file is gone")), "model")
    with pytest.raises(KeyError):
        build(node(inner=node("bug")), "model")

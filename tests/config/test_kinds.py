"""A value fits an annotation, is converted to what it means, or is refused, before a target is imported and after."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from espnet3.config.instantiate import build
from espnet3.config.targets import TargetChecks
from espnet3.errors import ConfigError

SAME = object()


class Row(NamedTuple):
    """An argument, a value for it, and what becomes of the value, or what is said."""

    argument: str
    value: Any
    result: Any = SAME
    says: str = ""


def refused(argument: str, value: Any, says: str) -> Row:
    return Row(argument, value, says=says)


ROWS = [
    Row("int", 40),
    Row("int", "40", 40),
    Row("int", "012", 12),
    Row("int", "0x10", 16),
    Row("int", "1_000", 1000),
    Row("int", 40.0, 40),
    Row("int", "1e3", 1000),
    Row("int", "???"),
    refused("int", 3.5, "needs a whole number, and 3.5 is not one."),
    refused("int", "3.5", "needs a whole number, and '3.5' is text."),
    refused("int", "forty", "needs a whole number, and 'forty' is text."),
    refused("int", "", "needs a whole number, and this text is empty."),
    refused(
        "int", True, "needs a whole number, and true is a truth value, as which YAML also reads yes, no, on and off"
    ),
    refused("int", None, "needs a whole number, and null is no value."),
    refused("int", [40], "needs a whole number, and [40] is a list."),
    refused("int", {"a": 1}, "needs a whole number, and {'a': 1} is a mapping."),
    refused("int", "12:30", "needs a whole number"),
    refused("int", float("inf"), "inf is not one"),
    Row("float", 0.5),
    Row("float", 1),
    Row("float", "0.01", 0.01),
    Row("float", "1e-3", 0.001),
    Row("float", "1", 1),
    Row("float", "inf", float("inf")),
    refused("float", False, "needs a number, and false is a truth value"),
    refused("float", "fast", "needs a number, and 'fast' is text."),
    refused("float", float("nan"), "needs a number, and nan is not one."),
    refused("float", "1,5", "needs a number"),
    Row("bool", True),
    Row("bool", "false", False),
    Row("bool", "no", False),
    Row("bool", "On", True),
    Row("bool", "0", False),
    Row("bool", 1, True),
    refused("bool", 2, "needs true or false, and 2 is a number."),
    refused("bool", "nope", "needs true or false, and 'nope' is text."),
    refused("bool", "", "needs true or false, and this text is empty."),
    refused("bool", 0.0, "needs true or false"),
    Row("str", "40"),
    Row("str", "false"),
    Row("str", ""),
    refused("str", 40, "needs text, and 40 is a number. Put it in quotes."),
    refused("str", False, "needs text, and false is a truth value"),
    refused("str", 1.5, "needs text, and 1.5 is a number. Put it in quotes."),
    refused("str", ["a"], "needs text, and ['a'] is a list."),
    Row("Path", "data/a"),
    Row("pathlib.Path", "data/a"),
    Row("str | Path", "data/a"),
    refused("Path", 3, "needs a path, and 3 is a number."),
    Row("int | None", None),
    Row("int | None", "null", None),
    Row("int | None", "3", 3),
    Row("Optional[int]", "3", 3),
    Row("Union[int, None]", "~", None),
    refused("int | None", "none", "needs a whole number or null, and 'none' is text."),
    Row("int = None", None),
    Row("int = None", "3", 3),
    Row("float = 1", "2", 2),
    Row("int = 'auto'", "auto"),
    Row("int = 'auto'", 3.5),
    Row("int | str", "40"),
    Row("int | float", "0.5", 0.5),
    Row("bool | int", "1", 1),
    Row("bool | int", "true", True),
    Row("bool | None", "off", False),
    refused("int | str", [1], "needs a whole number or text, and [1] is a list."),
    Row("float | Tensor", "0.01", 0.01),
    refused("float | Tensor", "fast", "needs a number, and 'fast' is text."),
    Row("Literal['povey', 'hann']", "hann"),
    Row("Literal[1, 2]", "2", 2),
    Row("Literal[True, 'auto']", "true", True),
    Row("Literal['a', None]", None),
    refused("Literal['povey', 'hann']", "hnn", "needs one of povey, hann, and not 'hnn'. Did you mean hann?"),
    refused("Literal['on', 'off']", True, "needs one of on, off, and true is a truth value"),
    refused("Literal[1, 2]", True, "needs one of 1, 2"),
    refused("Literal['only']", "other", "needs only, and not 'other'."),
    Row("list[float]", [0.9, 1, 1.1]),
    Row("list[float]", ["0.9", 1], [0.9, 1]),
    Row("Sequence[int]", ["012"], [12]),
    Row("tuple[int, ...]", [1, 2, 3]),
    Row("tuple[int, float]", ["1", "2"], [1, 2]),
    Row("List[int]", []),
    Row("set[str]", ["a"]),
    Row("list", [1, "a"]),
    Row("list[Literal['a', 'b']] | None", ["a"]),
    refused("Sequence[str]", "en", "needs a list, and 'en' is text. Write [en]."),
    refused("list[int]", "[1, 2]", "needs a list, and '[1, 2]' is text. Write it without quotes, or ${oc.decode:"),
    refused("list[int]", "", "needs a list, and this text is empty."),
    refused("Iterable[str]", "en", "needs a list, and 'en' is text."),
    refused("list[int]", 3, "needs a list, and 3 is a number. Write [3]."),
    refused("list[int]", [1, "x"], "value.1: needs a whole number, and 'x' is text."),
    refused("list[bool]", [["x"]], "value.0: needs true or false"),
    refused("tuple[int, int]", [1, 2, 3], "needs a list of 2 (a whole number, a whole number), and this one has 3."),
    refused("list[int] | None", ["x"], "value.0: needs a whole number"),
    refused("list[int]", {"a": 1}, "needs a list, and {'a': 1} is a mapping."),
    Row("dict[str, int]", {"a": "1"}, {"a": 1}),
    Row("Mapping[str, list[float]]", {"a": ["1e-1"]}, {"a": [0.1]}),
    Row("dict", {"a": 1}),
    refused("dict[str, int]", {"a": {"b": 1}}, "value.a: needs a whole number"),
    refused("dict[str, int]", "src.Thing", "needs a mapping, and 'src.Thing' is text. Write {_target_: src.Thing}."),
    refused("dict[str, int]", [1], "needs a mapping, and [1] is a list."),
    Row("Annotated[int, 'a size']", "3", 3),
    Row("Final[int]", "3", 3),
    Row("'int | None'", "3", 3),
    Row("Rate", "8000", 8000),
    Row("list['Rate']", ["8000"], [8000]),
    Row("int", {"_target_": "builtins.int", "_args_": [3]}, 3),
    Row("list[int]", [{"_target_": "builtins.int"}], [0]),
    Row("Any", "40"),
    Row("object", "40"),
    Row("Unknown", "40"),
    Row("Mode", "fast"),
    Row("T", "40"),
    Row("list[Unknown]", ["40"]),
    Row("Sized", [1]),
    Row("Words", {"a": 1}),
]
NEEDS_SOURCE = [
    refused("Decoder", {"beam": 3}, "needs an object (Decoder), and this mapping has no _target_. Name a class"),
    refused("Decoder", "greedy", "needs an object (Decoder), and 'greedy' is text."),
    refused("Decoder | None", {"beam": 3}, "needs null, and {'beam': 3} is a mapping."),
    refused("list[Decoder]", [{"beam": 3}], "value.0: needs an object (Decoder)"),
    refused("Scores", {"beam": 3}, "needs an object (Scores), and this mapping has no _target_."),
    Row("Decoder", {"_target_": "src.typed.Decoder"}),
]
ALL = [*ROWS, *NEEDS_SOURCE]
HEAD = """
import pathlib
import enum
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, List, Literal, NamedTuple, Optional, Protocol, TypedDict, TypeVar, Union
from torch import Tensor
from no_such import Unknown

T = TypeVar("T")
Rate = int
class Mode(enum.Enum):
    FAST = "fast"
class Decoder: ...
class Sized(Protocol):
    def __len__(self): ...
class Scores(Protocol):
    def score(self): ...
class Words(TypedDict):
    a: int
"""
FORMS = {
    "constructor": "class T{place}:\n    def __init__(self, value: {argument}):\n        self.value = value\n",
    "dataclass": "@dataclass\nclass T{place}:\n    value: {argument}\n",
    "function": "def T{place}(*, value: {argument}):\n    return Kept(value)\n",
    "inherited": "class B{place}:\n    def __init__(self, value: {argument}): self.value = value\n"
    "class T{place}(B{place}): ...\n",
    "handed on": "class S{place}:\n    def __init__(self, value: {argument}): self.value = value\n"
    "class T{place}:\n    def __init__(self, **rest): self.value = S{place}(**rest).value\n",
}
KEPT = "class Kept:\n    def __init__(self, value): self.value = value\n"


@pytest.fixture(params=[*FORMS, "future annotations"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with a module that has a target for every row, in one of the forms that a target may have."""
    future = request.param == "future annotations"
    form = FORMS["constructor" if future else request.param]
    targets = [form.format(place=place, argument=row.argument) for place, row in enumerate(ALL)]
    imports = ["from __future__ import annotations"] * future + ["from dataclasses import dataclass"]
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "typed.py").write_text("\n".join([*imports, HEAD, KEPT, *targets]))
    (tmp_path / "no_such.py").write_text("class Unknown: ...\n")
    return tmp_path


def node(place: int, value: Any) -> dict[str, Any]:
    return {"_target_": f"src.typed.T{place}", "value": value}


def test_arguments_are_judged_without_an_import(folder: Path) -> None:
    checks = TargetChecks(folder)
    found, expected = {}, {}
    for place, row in enumerate(ALL):
        faults = [fault.sentence("own") for fault in checks.check(node(place, row.value))]
        is_built = "_target_" in str(row.value)
        found[place] = repr(checks.converted(node(place, row.value))["value"]), len(faults)
        expected[place] = repr(row.value if row.result is SAME or is_built else row.result), int(bool(row.says))
        assert row.says in "".join(faults), row
    assert found == expected


@pytest.fixture
def importable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The module can be imported; no other of its name is there, before or after."""
    monkeypatch.syspath_prepend(str(folder))
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in ("src", "no_such")}
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] in ("src", "no_such")]:
        del sys.modules[name]
    sys.modules.update(before)


def built(place: int, value: Any) -> str:
    try:
        return repr(build(node(place, value), "own").value)
    except ConfigError as error:
        return str(error)


@pytest.mark.usefixtures("importable")
def test_arguments_are_judged_when_they_are_built() -> None:
    for place, row in enumerate(ROWS):
        expected = row.value if row.result is SAME else row.result
        if row.says:
            assert row.says in built(place, row.value), row
        else:
            assert built(place, row.value) == repr(expected), row


NODES = [
    ({"_args_": ["40", "0.5"]}, {"_args_": [40, 0.5]}, ""),
    ({"_args_": ["x"]}, None, "own._args_.0: needs a whole number, and 'x' is text."),
    ({"_args_": 40}, None, "own._args_: needs a list, and 40 is a number."),
    ({"size": "3", "_partial_": "yes"}, {"size": 3, "_partial_": True}, ""),
    ({"size": "3", "_partial_": "maybe"}, None, "own._partial_: needs true or false, and 'maybe' is text."),
    ({"size": "3", "_recursive_": "off"}, {"size": 3, "_recursive_": False}, ""),
    ({"size": "3", "_convert_": "all"}, {"size": 3, "_convert_": "all"}, ""),
    ({"size": "3", "rates": 1}, None, "own.rates: src.Part takes no rates; did you mean rate?"),
]


@pytest.mark.parametrize(("given", "converted", "says"), NODES, ids=[str(given) for given, _, _ in NODES])
def test_positions_and_flags_of_a_node_are_judged(
    given: dict[str, Any], converted: dict[str, Any] | None, says: str, tmp_path: Path
) -> None:
    (tmp_path / "src.py").write_text("class Part:\n    def __init__(self, size: int, rate: float = 1.0): ...\n")
    checks = TargetChecks(tmp_path)
    node = {"_target_": "src.Part", **given}
    assert [fault.sentence("own") for fault in checks.check(node)] == [says] * bool(says)
    assert converted is None or repr(checks.converted(node)) == repr({"_target_": "src.Part", **converted})

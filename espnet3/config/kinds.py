"""What an annotation says about plain values of a config: whether a value fits, what it becomes, or why it does not.

`annotations` makes kinds, `targets`, `sections` and `instantiate` ask them. A value that means the same is converted
("40" to 40 where a whole number is wanted, "false" to false), any other stays and is told. What is not known, such as
a library's class, takes everything (`ANY`).
"""

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from espnet3.config.findings import Key, nearest
from espnet3.config.scalars import is_null, number, truth

_MISSING = "???"


@dataclass(frozen=True)
class Misfit:
    """Why a value does not fit; `key` is its place below the value that was asked about."""

    message: str
    key: Key = ()


@dataclass(frozen=True)
class Fitted:
    """The value as it is to be used, and what does not fit in it."""

    value: Any
    misfits: tuple[Misfit, ...] = ()


class Kind(Protocol):
    """What values are accepted."""

    @property
    def wanted(self) -> str:
        """What is accepted, in words."""
        ...

    def fit(self, value: Any) -> Fitted:
        """The value, converted where it means the same."""
        ...


def fit(kind: Kind, value: Any) -> Fitted:
    """A value of a config; one that is to be filled in yet, or is an object or becomes one, fits everywhere."""
    is_plain = value is None or isinstance(value, bool | int | float | str | list | tuple | Mapping)
    if not is_plain or value == _MISSING or (isinstance(value, Mapping) and "_target_" in value):
        return Fitted(value)
    return kind.fit(value)


@dataclass(frozen=True)
class _Any:
    wanted: str = "any value"

    def fit(self, value: Any) -> Fitted:
        return Fitted(value)


@dataclass(frozen=True)
class Scalar:
    """One of YAML's plain values."""

    wanted: str
    convert: Callable[[Any], Any]
    """The value; `_Unfit` or None for none that means the same."""
    advice: str = ""

    def fit(self, value: Any) -> Fitted:
        """A value of its own type stays, a text that stands for one is converted."""
        found = self.convert(value)
        return Fitted(found.value) if found else _misfit(self.wanted, value, self.advice)


@dataclass(frozen=True)
class _Is:
    value: Any


def _whole(value: Any) -> _Is | None:
    value = number(value) if isinstance(value, str) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return _Is(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _real(value: Any) -> _Is | None:
    value = number(value) if isinstance(value, str) else value
    fits = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    return _Is(value) if fits else None


def _truth(value: Any) -> _Is | None:
    if isinstance(value, str):
        value = truth(value)
    elif type(value) is int and value in (0, 1):
        value = bool(value)
    return _Is(value) if isinstance(value, bool) else None


def _text(value: Any) -> _Is | None:
    return _Is(value) if isinstance(value, str) else None


def _nothing(value: Any) -> _Is | None:
    return _Is(None) if value is None or (isinstance(value, str) and is_null(value)) else None


ANY: Kind = _Any()
WHOLE: Kind = Scalar("a whole number", _whole)
REAL: Kind = Scalar("a number", _real)
TRUTH: Kind = Scalar("true or false", _truth)
TEXT: Kind = Scalar("text", _text, "Put it in quotes.")
PATH: Kind = Scalar("a path", _text, "Put it in quotes.")
NULL: Kind = Scalar("null", _nothing)


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    @property
    def wanted(self) -> str:
        """The values."""
        return f"one of {', '.join(map(_as_yaml, self.values))}" if self.values[1:] else _as_yaml(self.values[0])

    def fit(self, value: Any) -> Fitted:
        """The one that the value is, or that its text stands for."""
        meant = [value, *([number(value), truth(value)] if isinstance(value, str) else [])]
        for each in meant:
            for choice in self.values:
                if type(each) is type(choice) and each == choice:
                    return Fitted(choice)
        names = [choice for choice in self.values if isinstance(choice, str)]
        near = nearest(value, names, 0.6) if isinstance(value, str) else None
        if isinstance(value, str):
            advice = f" Did you mean {near}?" if near else ""
            return Fitted(value, (Misfit(f"needs {self.wanted}, and not {reprlib.repr(value)}.{advice}"),))
        return _misfit(self.wanted, value, "Put it in quotes." if names else "")


@dataclass(frozen=True)
class Several:
    """A list whose items are all of one kind."""

    item: Kind = ANY

    @property
    def wanted(self) -> str:
        """A list of what."""
        return "a list"

    def fit(self, value: Any) -> Fitted:
        """The list of its items, each fitted."""
        if not isinstance(value, list | tuple):
            return _no_list(value)
        return _fit_items(value, [self.item] * len(value))


@dataclass(frozen=True)
class Row:
    """A list of so many items, each of its own kind."""

    items: tuple[Kind, ...]

    @property
    def wanted(self) -> str:
        """A list of how many."""
        return f"a list of {len(self.items)} ({', '.join(item.wanted for item in self.items)})"

    def fit(self, value: Any) -> Fitted:
        """The list of its items, each fitted."""
        if not isinstance(value, list | tuple):
            return _no_list(value)
        if len(value) != len(self.items):
            return Fitted(value, (Misfit(f"needs {self.wanted}, and this one has {len(value)}."),))
        return _fit_items(value, self.items)


@dataclass(frozen=True)
class Leading:
    """Positional arguments, of which the first are known."""

    items: tuple[Kind, ...]
    wanted: str = "a list"

    def fit(self, value: Any) -> Fitted:
        """The list of its items, each fitted; how many there may be is not known here."""
        if not isinstance(value, list | tuple):
            return _misfit(self.wanted, value)
        unknown = [ANY] * max(0, len(value) - len(self.items))
        return _fit_items(value, [*self.items, *unknown][: len(value)])


@dataclass(frozen=True)
class Table:
    """A mapping whose values are all of one kind."""

    item: Kind = ANY
    wanted: str = "a mapping"

    def fit(self, value: Any) -> Fitted:
        """The mapping of its values, each fitted."""
        if not isinstance(value, Mapping):
            is_name = isinstance(value, str) and all(map(str.isidentifier, value.split("."))) and "." in value
            return _misfit(self.wanted, value, f"Write {{_target_: {value}}}." if is_name else "")
        fitted = {name: fit(self.item, each) for name, each in value.items()}
        return _together({name: each.value for name, each in fitted.items()}, value, fitted)


@dataclass(frozen=True)
class Instance:
    """An object of a class, which only a `_target_` can name."""

    name: str
    methods: tuple[str, ...] | None = None
    """Of a protocol: a plain value that has them all is one, too."""

    @property
    def wanted(self) -> str:
        """Its class."""
        return f"an object ({self.name})"

    def fit(self, value: Any) -> Fitted:
        """No plain value is one, unless it has the methods of a protocol."""
        if self.methods is not None and all(hasattr(value, name) for name in self.methods):
            return Fitted(value)
        lacks = "this mapping has no _target_" if isinstance(value, Mapping) else _what(value)
        cure = "Name a class or function: {_target_: package.module.Name}."
        return Fitted(value, (Misfit(f"needs {self.wanted}, and {lacks}. {cure}"),))


@dataclass(frozen=True)
class Either:
    """Any of several kinds."""

    kinds: tuple[Kind, ...]

    @property
    def wanted(self) -> str:
        """All of them that a plain value can be."""
        plain = [each.wanted for each in self.kinds if not isinstance(each, Instance)]
        return " or ".join(dict.fromkeys(plain or [each.wanted for each in self.kinds]))

    def fit(self, value: Any) -> Fitted:
        """As the kind that takes the value as it is, else as the first that converts it."""
        fitted = [(kind, fit(kind, value)) for kind in self.kinds]
        sound = [each for _, each in fitted if not each.misfits]
        if sound:
            return next((each for each in sound if _same(each.value, value)), sound[0])
        inside = [each for _, each in fitted if any(misfit.key for misfit in each.misfits)]
        return inside[0] if len(inside) == 1 else _misfit(self.wanted, value, self._advice())

    def _advice(self) -> str:
        return TEXT.advice if TEXT in self.kinds and isinstance(TEXT, Scalar) else ""


def either(kinds: Sequence[Kind]) -> Kind:
    """One of these kinds; a number is looked for before a truth value, because texts may stand for both."""
    flat = [each for kind in kinds for each in (kind.kinds if isinstance(kind, Either) else (kind,))]
    ordered = sorted(dict.fromkeys(flat), key=lambda kind: (kind == NULL, kind == TRUTH))
    return ANY if ANY in ordered else ordered[0] if len(ordered) == 1 else Either(tuple(ordered))


def _fit_items(values: Sequence[Any], kinds: Sequence[Kind]) -> Fitted:
    fitted = {str(place): fit(kind, each) for place, (kind, each) in enumerate(zip(kinds, values, strict=True))}
    return _together([each.value for each in fitted.values()], values, fitted)


def _together(value: Any, original: Any, parts: Mapping[Any, Fitted]) -> Fitted:
    misfits = [
        Misfit(misfit.message, (str(name), *misfit.key)) for name, each in parts.items() for misfit in each.misfits
    ]
    return Fitted(original if _same(value, original) else value, tuple(misfits))


def _same(one: Any, other: Any) -> bool:
    """Equal in their types, too: true is not 1."""
    return repr(one) == repr(other)


def _no_list(value: Any) -> Fitted:
    advice = f"Write [{value}]." if isinstance(value, str | int | float) and not isinstance(value, bool) else ""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        advice = "Write it without quotes, or ${oc.decode:${oc.env:NAME}} where it is in the environment."
    return _misfit("a list", value, advice if value != "" else "")


def _misfit(wanted: str, value: Any, advice: str = "") -> Fitted:
    advice = "" if isinstance(value, list | dict) or value is None else advice
    if isinstance(value, float) and wanted in ("a number", "a whole number"):
        what = f"{value} is not one"
    else:
        what = _what(value)
    return Fitted(value, (Misfit(f"needs {wanted}, and {what}.{f' {advice}' if advice else ''}"),))


def _what(value: Any) -> str:
    if value is None:
        return "null is no value"
    if isinstance(value, bool):
        return f"{_as_yaml(value)} is a truth value, as which YAML also reads yes, no, on and off"
    if isinstance(value, int | float):
        return f"{value} is a number"
    if isinstance(value, str):
        return f"{reprlib.repr(value)} is text" if value else "this text is empty"
    return f"{reprlib.repr(value)} is a {'list' if isinstance(value, list | tuple) else 'mapping'}"


def _as_yaml(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

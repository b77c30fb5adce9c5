"""Argo's expressions (expr-lang), as far as this project writes any: parsed, their names listed, and evaluated.

`rules` refuses what does not parse or names what Argo does not give, because `argo lint` lets it through; the tests
evaluate the retry rule. It knows literals, lists, dotted names, calls, comparisons, `in`, `matches`, and, or, not and
the conditional, with expr-lang's precedence.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^'\\]*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*)"
    r"|(?P<sign>==|!=|<=|>=|&&|\|\||[<>!?:()\[\],]))"
)
_WORDS = {"and": "&&", "or": "||", "not": "!"}
Evaluate = Callable[[Mapping[str, Any]], Any]
_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: bool(a == b),
    "!=": lambda a, b: bool(a != b),
    "<": lambda a, b: bool(a < b),
    ">": lambda a, b: bool(a > b),
    "<=": lambda a, b: bool(a <= b),
    ">=": lambda a, b: bool(a >= b),
    "in": lambda a, b: a in b,
    "matches": lambda a, b: re.search(b, a) is not None,
}
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "asInt": int,
    "sprig.int": int,
    "sprig.trunc": lambda longest, text: text[:longest],
}


@dataclass(frozen=True)
class Expression:
    """A parsed expression."""

    names: frozenset[str]
    """Variables that it asks for."""
    evaluate: Evaluate
    """Its value, given {dotted name: value}."""


def parse_expression(text: str) -> Expression:
    """Read an expression.

    Raises:
        ValueError: it is none, or uses what this project has no need of; says where.
    """
    parser = _Parser(_tokens(text))
    evaluate = parser.conditional()
    parser.expect("")
    return Expression(frozenset(parser.names), evaluate)


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens, place = [], 0
    text = text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if not found or not found.lastgroup:
            raise ValueError(f"{text[place : place + 20]!r} cannot be read")
        kind, value = found.lastgroup, found[found.lastgroup]
        if value in _WORDS or value in ("in", "matches"):
            kind, value = "sign", _WORDS.get(value, value)
        tokens.append((kind, value))
        place = found.end()
    return [*tokens, ("end", "")]


@dataclass
class _Parser:
    tokens: list[tuple[str, str]]
    place: int = 0
    names: set[str] = field(default_factory=set)

    def conditional(self) -> Evaluate:
        test = self.either()
        if not self.take("?"):
            return test
        first = self.conditional()
        self.expect(":")
        second = self.conditional()
        return lambda given: first(given) if test(given) else second(given)

    def either(self) -> Evaluate:
        parts = [self.both()]
        while self.take("||"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda given: any(part(given) for part in parts)

    def both(self) -> Evaluate:
        parts = [self.comparison()]
        while self.take("&&"):
            parts.append(self.comparison())
        return parts[0] if len(parts) == 1 else lambda given: all(part(given) for part in parts)

    def comparison(self) -> Evaluate:
        left = self.unary()
        sign = self.tokens[self.place]
        if sign[0] != "sign" or sign[1] not in _COMPARISONS:
            return left
        self.place += 1
        right = self.unary()
        compare = _COMPARISONS[sign[1]]
        return lambda given: compare(left(given), right(given))

    def unary(self) -> Evaluate:
        if self.take("!"):
            inner = self.unary()
            return lambda given: not inner(given)
        return self.primary()

    def primary(self) -> Evaluate:
        kind, value = self.tokens[self.place]
        self.place += 1
        if kind == "text":
            return lambda _: value[1:-1]
        if kind == "number":
            return lambda _: int(value)
        if kind == "name":
            return self.name(value)
        if value == "(":
            inner = self.conditional()
            self.expect(")")
            return inner
        if value == "[":
            items = self.items("]")
            return lambda given: [item(given) for item in items]
        raise ValueError(f"{value or 'its end'!r} is not expected")

    def items(self, end: str) -> list[Evaluate]:
        items = [self.conditional()]
        while self.take(","):
            items.append(self.conditional())
        self.expect(end)
        return items

    def name(self, name: str) -> Evaluate:
        if self.take("("):
            if name not in FUNCTIONS:
                raise ValueError(f"there is no function {name}")
            arguments = self.items(")")
            return lambda given: FUNCTIONS[name](*(argument(given) for argument in arguments))
        self.names.add(name)
        return lambda given: given[name]

    def take(self, sign: str) -> bool:
        if self.tokens[self.place] == ("sign", sign):
            self.place += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if self.tokens[self.place][1] != sign or self.tokens[self.place][0] not in ("sign", "end"):
            raise ValueError(f"{self.tokens[self.place][1] or 'its end'!r} is not expected")
        self.place += 1

"""What a text means as a number or a truth value, and the YAML loader that leaves the doubtful ones as they were typed.

`compose` reads files with `load_yaml`; `kinds` asks for the meaning where a number or a truth value is wanted. YAML 1.1
takes 012 for ten and 12:30 for 750, which nobody means: such values stay text until something is known about what is
wanted there.
"""

import re
from typing import Any

import yaml

_WHOLE = re.compile(r"[-+]?[0-9]+(_[0-9]+)*", re.ASCII)
_BASED = re.compile(r"[-+]?0(x[0-9a-f]+(_[0-9a-f]+)*|o[0-7]+(_[0-7]+)*|b[01]+(_[01]+)*)", re.ASCII | re.IGNORECASE)
_DECIMAL = re.compile(
    r"[-+]?([0-9]+(_[0-9]+)*\.?([0-9]+(_[0-9]+)*)?|\.[0-9]+(_[0-9]+)*)(e[-+]?[0-9]+)?", re.ASCII | re.IGNORECASE
)
_INFINITE = re.compile(r"[-+]?\.?inf", re.IGNORECASE)
_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_NULL = {"null", "~"}
_MOST_DIGITS = 400


def number(text: str) -> int | float | None:
    """The number that a text stands for, as YAML would read it, but 012 is twelve; None for any other text."""
    text = text.strip()
    if len(text) > _MOST_DIGITS:
        return None
    if _WHOLE.fullmatch(text):
        return int(text.replace("_", ""))
    if _BASED.fullmatch(text):
        return int(text.replace("_", ""), 0)
    if _DECIMAL.fullmatch(text):
        return float(text.replace("_", ""))
    return float(text.replace(".", "")) if _INFINITE.fullmatch(text) else None


def truth(text: str) -> bool | None:
    """The truth value that a text stands for: true, yes, on or 1, false, no, off or 0; None for any other text."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def is_null(text: str) -> bool:
    """Whether a text stands for no value, as null does in a file."""
    return text.strip().lower() in _NULL


class _Loader(yaml.SafeLoader):
    """A SafeLoader that refuses a key written twice and knows fewer spellings of numbers, and no dates."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:merge" and isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        "while constructing a mapping",
                        node.start_mark,
                        f"found duplicate key {key.value}",
                        key.start_mark,
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_NOT_HERE = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp", "value")}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _NOT_HERE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int",
    re.compile(r"^[-+]?(?:0|[1-9][0-9]*(?:_[0-9]+)*|0x[0-9a-fA-F]+(?:_[0-9a-fA-F]+)*|0b[01]+(?:_[01]+)*)$"),
    list("-+0123456789"),
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"""^(?:[-+]?(?:[0-9]+(?:_[0-9]+)*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?
            |[-+]?[0-9]+(?:_[0-9]+)*[eE][-+]?[0-9]+
            |[-+]?\.(?:inf|Inf|INF)
            |\.(?:nan|NaN|NAN))$""",
        re.X,
    ),
    list("-+0123456789."),
)


def load_yaml(text: str) -> Any:
    """The plain values of a YAML text.

    Raises:
        yaml.YAMLError: it is malformed, or a mapping has a key twice.
    """
    return yaml.load(text, Loader=_Loader)  # noqa: S506  # a SafeLoader

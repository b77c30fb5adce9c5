"""The config of a packed model, read as what it is: a text from a stranger.

`espnet3.packs.pack` reads it, of a stranger's pack and of one that was just made. It may name the classes that the
pack's task allows and no others, hold no interpolation (which could read the environment), and reach no file but the
pack's own.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from espnet3.errors import DataError

DEEPEST = 20
LONGEST_NUMBER = 100
"""Characters."""
_OWN_CODE = ("src.",)

Place = tuple[str, ...]


@dataclass(frozen=True)
class OwnCode:
    """Where a config may name the recipe's own classes (`src.…`)."""

    everywhere: bool = False
    in_model: bool = False
    """As what the model is, which an ONNX copy of it does not build."""

    def may_be(self, place: Place) -> bool:
        """Whether the `_target_` at a place may be one of them."""
        return self.everywhere or (self.in_model and place[0] == "model")


@dataclass(frozen=True)
class Rules:
    """What a config may hold; the first three are the task's."""

    parts: Sequence[str]
    """Sections that it has."""
    allowed: Collection[str]
    """Dotted names that a `_target_` may be."""
    file_keys: Collection[str]
    """Keys whose text is the name of a file."""
    own_code: OwnCode
    files: Mapping[str, Path]
    """The pack's files by name."""


def checked_config(text: str, path: Path, rules: Rules) -> dict[str, Any]:
    """The config, with the names of the pack's files made absolute.

    Args:
        text: YAML.
        path: its file, for messages.
        rules: what it may hold.

    Raises:
        DataError: it is malformed, or asks for what no pack may.
    """
    content = plain_yaml(text, path)
    if not isinstance(content, dict) or any(not isinstance(content.get(part), dict) for part in rules.parts):
        raise DataError(f"{path} is damaged: it should have the sections {', '.join(rules.parts)}.")
    for place, fault in _faults(content, rules, ()):
        raise DataError(f"{path}: {'.'.join(place)} {fault}")
    absolute = _absolute(content, rules.files)
    assert isinstance(absolute, dict)
    return absolute


def plain_yaml(text: str, path: Path) -> Any:
    """What a stranger's YAML holds, in a time that grows with its length only.

    Raises:
        DataError: it is malformed, or has what makes a few bytes grow without end.
    """
    try:
        return yaml.load(text, Loader=_Plain)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, RecursionError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} is damaged: it is not plain YAML ({reason}).") from None


class _Plain(yaml.SafeLoader):
    """Without aliases, whose expansion doubles with each level, and without numbers of any length."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.YAMLError(
                f"line {event.start_mark.line + 1} has the alias *{event.anchor}; write out what it stands for"
            )
        return super().compose_node(parent, index)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        if node.tag.rpartition(":")[2] in ("int", "float") and len(node.value) > LONGEST_NUMBER:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1} has a number of {len(node.value)} characters")
        return super().construct_scalar(node)


def _faults(node: Any, rules: Rules, place: Place) -> Iterator[tuple[Place, str]]:
    if len(place) > DEEPEST:
        yield place[:3], "is nested deeper than any config."
    elif isinstance(node, dict):
        for key, value in node.items():
            yield from _key_faults(key, value, rules, place)
            yield from _faults(value, rules, (*place, str(key)))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _faults(value, rules, (*place, str(number)))
    elif isinstance(node, str) and "${" in node:
        yield place, f"is {node!r}; a pack has no interpolations, which could read this machine's environment."
    elif isinstance(node, str) and (PurePosixPath(node).is_absolute() or ".." in node.replace("\\", "/").split("/")):
        yield place, f"is {node!r}, which leads out of the pack; its own files have relative names."


def _key_faults(key: Any, value: Any, rules: Rules, place: Place) -> Iterator[tuple[Place, str]]:
    where = (*place, str(key))
    if not isinstance(key, str) or (key.startswith("_") and key != "_target_"):
        yield where, "is a key that no pack has; only _target_ begins with an underscore."
    elif key == "_target_" and not _may_build(str(value), rules, where):
        names = sorted(target.rpartition(".")[2] for target in rules.allowed)
        yield where, f"is {value!r}, which a pack may not build; it may name espnet3's own: {', '.join(names)}."
    elif key in rules.file_keys and isinstance(value, str) and value not in rules.files:
        yield where, f"is {value!r}, which is not a file of the pack."


def _may_build(target: str, rules: Rules, place: Place) -> bool:
    return target in rules.allowed or (rules.own_code.may_be(place) and target.startswith(_OWN_CODE))


def _absolute(node: Any, files: Mapping[str, Path]) -> Any:
    if isinstance(node, dict):
        return {key: _absolute(value, files) for key, value in node.items()}
    if isinstance(node, list):
        return [_absolute(value, files) for value in node]
    return str(files[node]) if isinstance(node, str) and node in files else node

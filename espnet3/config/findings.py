"""What is wrong with a config, as sentences that name the place and the cure.

The checks of `checks` return findings instead of raising, so that a user sees all of them at once; `cli`
prints them. `describe` turns a pydantic error into such a sentence, for the checks and for
`espnet3.config.sections.read_config` alike.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Key = tuple[str, ...]
"""Where a value is in a config: its keys and list positions from the top."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with the value at `key` of some slot."""

    key: Key
    message: str
    is_whole: bool = False
    """The message names the key itself, with `{slot}` for the slot's name."""
    is_secret: bool = False
    """The value must not be shown."""

    def sentence(self, slot: str) -> str:
        """The message with the dotted key, beginning with the slot."""
        if self.is_whole:
            return self.message.replace("{slot}", slot, 1)
        return f"{'.'.join((slot, *self.key))}: {self.message}"


@dataclass(frozen=True, order=True)
class Finding:
    """One fault: where it is (`conf/training.yaml:12`, or the slot where no line is known) and what to do about it."""

    where: str
    message: str
    is_secret: bool = False
    """It is about a value that must not be shown."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


def describe(finding: Any, slot: str) -> str:
    """One line for a pydantic finding: dotted key, what was wrong, what was given."""
    key = ".".join(str(part) for part in (slot, *finding["loc"]))
    if finding["type"] == "missing":
        return f"{key} is missing."
    if finding["type"] == "target":
        return f"{key}: {finding['msg']}"
    if finding["type"] in {"model_type", "dict_type"}:
        return f"{key}: needs a mapping (given: {finding['input']!r})."
    return f"{key}: {finding['msg']} (given: {finding['input']!r})."


def nearest(name: str, known: Iterable[str], likeness: float = 0.8) -> str | None:
    """The known name that `name` may be a misspelling of; `likeness` is difflib's ratio, 1 for equal."""
    matches = difflib.get_close_matches(name, [other for other in known if other != name], n=1, cutoff=likeness)
    return matches[0] if matches else None

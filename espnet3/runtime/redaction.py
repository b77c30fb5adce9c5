"""Keeping secrets out of logs: those of the environment and of configs by their names, all others by how they look.

`logs` masks every line that it writes, `cli` what it prints of an error, and `checks` asks whether a config gives one
away. For the names, see `secret_names`; for the formats of access tokens, `secret_values`; for addresses, headers and
assignments in a text, `secret_texts`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from espnet3.runtime.secret_names import is_certainly_secret, is_secret
from espnet3.runtime.secret_texts import MASK, masked_text, shows_secret

__all__ = ["MASK", "environment_secrets", "gives_away", "is_secret", "masked", "redact", "secrets_in"]
SHORTEST = 4
"""Values of fewer characters are left alone: masking every `1` would leave no log to read."""
_NO_SECRET = re.compile(r"(?:true|false|yes|no|on|off|none|null|basic|bearer|auto|default|disabled|enabled)", re.I)
_OF_A_TOKENIZER = re.compile(r"[<\[|▁ \s]")
_ADDRESS_WITH_SECRET = re.compile(r"[@?;]|hook", re.IGNORECASE)


def masked(node: Any, name: str = "") -> Any:
    """A copy of plain config values in which secrets are masked; `name` is the key that they stand under."""
    if isinstance(node, Mapping):
        return {key: masked(value, _stricter(name, str(key))) for key, value in node.items()}
    if isinstance(node, list):
        return [masked(value, name) for value in node]
    return MASK if _is_secret_value(node, name) else node


def secrets_in(node: Any, name: str = "") -> set[str]:
    """The secret values of a plain config."""
    return {str(value) for value, key in _leaves(node, name) if _is_secret_value(value, key)}


def environment_secrets() -> set[str]:
    """The values of environment variables whose name says that they are secret, but no files, flags and numbers."""
    return {value for name, value in os.environ.items() if is_secret(name) and _can_be_hidden(value, name)}


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` without the values in `secrets`, and without whatever else looks like a secret."""
    for value in _longest_first(secrets):
        text = text.replace(value, MASK)
    return masked_text(text)


def gives_away(text: str, secrets: Iterable[str]) -> bool:
    """Whether a secret stands in a text for certain: one of `secrets`, a token, a password in an address."""
    return any(value in text for value in _longest_first(secrets)) or shows_secret(text)


def _longest_first(secrets: Iterable[str]) -> list[str]:
    values = {value.strip() for value in secrets}
    return sorted((value for value in values if len(value) >= SHORTEST), key=len, reverse=True)


def _leaves(node: Any, name: str) -> Iterator[tuple[Any, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, _stricter(name, str(key)))
    elif isinstance(node, list):
        for value in node:
            yield from _leaves(value, name)
    else:
        yield node, name


def _stricter(outer: str, inner: str) -> str:
    """What is below `secrets` is one, however it is called."""
    return outer if is_certainly_secret(outer) or (is_secret(outer) and not is_secret(inner)) else inner


def _is_secret_value(value: Any, name: str) -> bool:
    if value is None or isinstance(value, bool) or not is_secret(name):
        return False
    return is_certainly_secret(name) or (isinstance(value, str) and not _OF_A_TOKENIZER.search(value))


def _can_be_hidden(value: str, name: str) -> bool:
    if _NO_SECRET.fullmatch(value.strip()) or (value.startswith("/") and Path(value).exists()):
        return False
    if is_certainly_secret(name):
        return True
    if re.search(r"(?i)(?:url|uri|strings?)$", name):
        return bool(_ADDRESS_WITH_SECRET.search(value))
    return not value.strip().isdigit()

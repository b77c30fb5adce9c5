"""Keeping secrets out of logs: which names hold one, and what their values are.

`logging_utils` masks every line that it writes; `run_utils` what it prints of an error. A name holds a secret when one of its words
says so (`hf_token`, `AWS_SECRET_ACCESS_KEY`, `apiKey`), unless it is one of the field's own terms (`input_key`, `blank_token`).
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
SHORTEST = 4
"""Values of fewer characters are left alone: masking every `1` would leave no log to read."""

_SECRET = {
    "token",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "secrets",
    "passwords",
    "apikey",
    "credential",
    "credentials",
}
_KEYS = {"key", "keys"}
_HARMLESS = {
    *(
        "input",
        "output",
        "idx",
        "index",
        "id",
        "sort",
        "keep",
        "data",
        "dataset",
        "dict",
        "group",
        "public",
        "num",
        "max",
        "min",
    ),
    *("ref", "hyp", "text", "audio", "speech", "wav", "feats", "utt", "speaker", "label", "query", "value"),
    *("blank", "unk", "pad", "sos", "eos", "bos", "cls", "sep", "mask", "special", "word", "space"),
}
_ABOUT = {
    "list",
    "type",
    "id",
    "ids",
    "path",
    "file",
    "dir",
    "size",
    "dim",
    "length",
    "lengths",
    "count",
    "name",
    "embedding",
}
_USER_AND_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s:@]+@")


def is_secret(name: str) -> bool:
    """Whether a config key or an environment variable of this name holds a secret."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if words and words[-1] in _ABOUT and not _SECRET & set(words[-2:-1]) & {"secret", "password"}:
        return words[-3:] == ["access", "key", "id"]
    if len(words) == 1 and words[0] == "keys":
        return False
    return any(_says_so(words, place) for place in range(len(words)))


def _says_so(words: list[str], place: int) -> bool:
    before = words[place - 1] if place else ""
    if words[place] in {"password", "passwd", "passphrase", "secret"}:
        return True
    return words[place] in _SECRET | _KEYS and before not in _HARMLESS and words[0] not in _HARMLESS


def masked(node: Any, secret: bool = False) -> Any:
    """A copy of plain config values in which secrets are masked."""
    if isinstance(node, Mapping):
        return {key: masked(value, secret or is_secret(str(key))) for key, value in node.items()}
    if isinstance(node, list):
        return [masked(value, secret) for value in node]
    return MASK if secret and node is not None and not isinstance(node, bool) else node


def secrets_in(node: Any, secret: bool = False) -> set[str]:
    """The secret values of a plain config."""
    if isinstance(node, Mapping):
        return {value for key, child in node.items() for value in secrets_in(child, secret or is_secret(str(key)))}
    if isinstance(node, list):
        return {value for child in node for value in secrets_in(child, secret)}
    return {str(node)} if secret and node is not None and not isinstance(node, bool) else set()


def environment_secrets() -> set[str]:
    """The values of environment variables whose name says that they are secret."""
    return {value for name, value in os.environ.items() if is_secret(name)}


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` without the values in `secrets`, and without passwords in addresses."""
    for value in sorted((value for value in secrets if len(value.strip()) >= SHORTEST), key=len, reverse=True):
        text = text.replace(value, MASK)
    return _USER_AND_PASSWORD.sub(rf"\1{MASK}@", text)

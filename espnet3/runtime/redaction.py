"""Keeping secrets out of logs: which names hold one, and what their values are.

`logs` masks every line that it writes, `cli` what it prints of an error. A name holds a secret when one
of its words says so (`hf_token`, `AWS_SECRET_ACCESS_KEY`, `apiKey`), unless it is one of the field's own terms
(`input_key`, `blank_token`) or only about one (`token_type`).
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
SHORTEST = 4
"""Values of fewer characters are left alone: masking every `1` would leave no log to read."""

_SECRET = {"password", "passwords", "passwd", "passphrase", "secret", "secrets", "apikey", "credential", "credentials"}
_SECRET_UNLESS = {"token", "key", "keys"}
_HARMLESS = {
    *(
        "input",
        "output",
        "idx",
        "index",
        "sort",
        "data",
        "dataset",
        "dict",
        "group",
        "public",
        "num",
        "max",
        "min",
        "keep",
    ),
    *("ref", "hyp", "text", "audio", "speech", "wav", "feats", "utt", "speaker", "label", "query", "value"),
    *("blank", "unk", "pad", "sos", "eos", "bos", "cls", "sep", "mask", "special", "word", "space"),
}
_ABOUT = {
    *("list", "type", "id", "ids", "path", "file", "dir", "size", "dim", "length", "lengths", "count", "name"),
    "embedding",
}
_USER_AND_PASSWORD = re.compile(r"(://[^/\s:@]*:)[^/\s:@]+@")


def is_secret(name: str) -> bool:
    """Whether a config key or an environment variable of this name holds a secret."""
    words = re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())
    if words == ["keys"]:
        return False
    if words and words[-1] in _ABOUT:
        return words[-3:] == ["access", "key", "id"]
    return any(_says_so(before, word) for before, word in zip(["", *words], words, strict=False))


def masked(node: Any, secret: bool = False) -> Any:
    """A copy of plain config values in which secrets are masked."""
    if isinstance(node, Mapping):
        return {key: masked(value, secret or is_secret(str(key))) for key, value in node.items()}
    if isinstance(node, list):
        return [masked(value, secret) for value in node]
    return MASK if secret and _can_be_secret(node) else node


def secrets_in(node: Any, secret: bool = False) -> set[str]:
    """The secret values of a plain config."""
    if isinstance(node, Mapping):
        return {value for key, child in node.items() for value in secrets_in(child, secret or is_secret(str(key)))}
    if isinstance(node, list):
        return {value for child in node for value in secrets_in(child, secret)}
    return {str(node)} if secret and _can_be_secret(node) else set()


def environment_secrets() -> set[str]:
    """The values of environment variables whose name says that they are secret."""
    return {value for name, value in os.environ.items() if is_secret(name)}


def redact(text: str, secrets: Iterable[str]) -> str:
    """`text` without the values in `secrets`, and without passwords in addresses."""
    for value in sorted((value for value in secrets if len(value.strip()) >= SHORTEST), key=len, reverse=True):
        text = text.replace(value, MASK)
    return _USER_AND_PASSWORD.sub(rf"\1{MASK}@", text)


def _says_so(before: str, word: str) -> bool:
    return word in _SECRET or (word in _SECRET_UNLESS and before not in _HARMLESS)


def _can_be_secret(value: Any) -> bool:
    return value is not None and not isinstance(value, bool)

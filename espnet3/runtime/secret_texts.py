"""Secrets in running text, such as a line of a log or of a traceback: in addresses, headers, flags and assignments.

`redaction` calls it. `masked_text` hides generously, since a hidden word does no harm there; `shows_secret` is certain,
for a config that holds one is refused.
"""

import re
from collections.abc import Callable, Iterator

from espnet3.runtime.secret_names import is_certainly_secret, is_secret
from espnet3.runtime.secret_values import PRIVATE_KEY, looks_random, tokens_in

MASK = "***"
_PRIVATE_KEY_TO_ITS_END = re.compile(rf"({PRIVATE_KEY.pattern}).*?(?=-----END|\Z)", re.DOTALL)
_PASSWORD = re.compile(r"(?<=://)([^/\s:@?#\"'<>]*:)(?!\d+[/?#])([^\s\"'<>]{1,300}@)")
_USER = re.compile(r"(?<=://)([^/\s:@?#\"'<>]+)@")
_WITH_USERS = ("http://", "https://")
_IN_QUERY = re.compile(r"([?&#;](?:amp;)?([A-Za-z][\w.~-]*)=)([^&#\s\"'<>]+)")
_SIGNATURES = {
    "sig",
    "signature",
    "hmac",
    "sas",
    "x-amz-signature",
    "x-goog-signature",
    "x-oss-signature",
    "oss-signature",
}
_SIGNATURES |= {"x-amz-security-token", "x-amz-credential", "x-goog-credential", "awsaccesskeyid", "key-pair-id"}
_OF_QUERIES = _SIGNATURES | {"key", "auth", "code", "policy", "pwd", "jwt", "googleaccessid"}
_HEADER = re.compile(
    r"((?:\bproxy-)?\bauthorization[\"']?\s*[:=]\s*[\"']?(?:[\w-]+\s+)??)"
    r"((?:(?:basic|bearer|digest|token|negotiate|apikey|aws4-hmac-sha256)\s+)?[^\s\"',]+(?:,\s*\w+=[^\s,\"']+)*)",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(\b(?:bearer|basic)\s+)(?=[^\s\"']*\d|[\w.~+/=-]{20,})([\w.~+/=-]{6,})", re.IGNORECASE)
_CREDENTIAL = re.compile(r"(?:.*\bauthorization\s*[:=]\s*\w+|bearer)\s+[\w.~+/=-]{8,}", re.IGNORECASE | re.DOTALL)
_HEADERS = {"x-api-key", "x-auth-token", "private-token", "job-token", "deploy-token", "cookie", "set-cookie"}
_FLAG = re.compile(r"(?<![\w-])(--?([A-Za-z][\w-]*)\s+)([^\s\"'-][^\s]*)")
_NAME = re.compile(r"(?<![\w.])([A-Za-z][\w.-]{0,80})[\"']?\s{0,8}(=|:(?=[\s\"']))\s{0,8}")
_VALUE = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|[^\s\"',;&)}\]]+")
_HINTS = (
    *("passw", "passphrase", "pwd", "secret", "token", "key", "cred", "auth", "bearer", "_pat", "pass", "jwt", "dsn"),
    *("hook", "sas", "cookie", "_ur", "_string"),
)
"""One of these is in every name of a secret; to look for them first is many times as fast."""
_NOTHING = {"", MASK, "none", "null", "true", "false", "..."}


def masked_text(text: str) -> str:
    """`text` with every secret in it masked that can be told by how it looks or by what stands before it."""
    if "-----BEGIN" in text:
        text = _PRIVATE_KEY_TO_ITS_END.sub(rf"\1{MASK}", text)
    for token in tokens_in(text):
        text = text.replace(token, MASK)
    if "://" in text:
        text = _PASSWORD.sub(rf"\1{MASK}@", text)
        text = _USER.sub(_hidden_user, text)
    if "=" in text:
        text = _IN_QUERY.sub(_hidden_if(lambda name: name.lower() in _OF_QUERIES or is_secret(name)), text)
    small = text.lower()
    if "authorization" in small:
        text = _HEADER.sub(_hidden_header, text)
    if "bearer" in small or "basic" in small:
        text = _SCHEME.sub(rf"\1{MASK}", text)
    if any(hint in small for hint in _HINTS):
        text = _FLAG.sub(_hidden_if(is_secret), text)
        text = "".join(_without_assigned(text))
    return text


def shows_secret(text: str) -> bool:
    """Whether a text holds a token, a private key, a header with a credential, or an address that lets somebody in."""
    return bool(PRIVATE_KEY.search(text)) or any(_certain(text))


def _certain(text: str) -> Iterator[bool]:
    yield any(tokens_in(text))
    yield "://" in text and bool(_PASSWORD.search(text))
    yield "://" in text and any(looks_random(found[1]) for found in _USER.finditer(text))
    yield any(_lets_in(found[2], found[3]) for found in _IN_QUERY.finditer(text))
    yield bool(_CREDENTIAL.fullmatch(text.strip()))


def _lets_in(name: str, value: str) -> bool:
    certain = name.lower() in _SIGNATURES or name.lower() == "token" or is_certainly_secret(name)
    return certain and len(value) >= 8


def _hidden_user(found: "re.Match[str]") -> str:
    begins = found.string[: found.start()].lower().endswith(_WITH_USERS)
    return f"{MASK}@" if begins else found[0]


def _hidden_if(is_one: Callable[[str], bool]) -> Callable[["re.Match[str]"], str]:
    return lambda found: f"{found[1]}{MASK}" if is_one(found[2]) else found[0]


def _hidden_header(found: "re.Match[str]") -> str:
    return found[0] if found[2].lower() in _NOTHING else f"{found[1]}{MASK}"


def _without_assigned(text: str) -> Iterator[str]:
    """The parts of a text around the secrets in `name=secret`, `name: secret` and `"name": "secret"`, and the masks."""
    place = 0
    while name := _NAME.search(text, place):
        yield text[place : name.end()]
        place = name.end()  # what follows may be another name
        value = _VALUE.match(text, place) if _is_assigned(name) else None
        if value and _is_secret(name, value):
            quote = value[0][0] if value[0][0] in "\"'" else ""
            yield f"{quote}{MASK}{quote}"
            place = value.end()
    yield text[place:]


def _is_assigned(name: "re.Match[str]") -> bool:
    """Small letters are everybody's, but for flags; a variable of the environment has capitals."""
    last = name[1].rpartition(".")[2]
    if name[1].lower() in _HEADERS or is_certainly_secret(last):
        return True
    return (last.isupper() or name.string.endswith("--", 0, name.start())) and is_secret(last)


def _is_secret(name: "re.Match[str]", value: "re.Match[str]") -> bool:
    """`password: is missing` is a sentence, and a number is a password for certain names alone."""
    bare = value[0].strip("\"'")
    if bare.lower() in _NOTHING or (bare.isdigit() and not is_certainly_secret(name[1].rpartition(".")[2])):
        return False
    if name[2] == "=" or value[0] != bare or name[1].lower() in _HEADERS:
        return True
    rest = value.string[value.end() : value.end() + 200].partition("\n")[0]
    return not rest.strip(" \t\r,;})]'\"")

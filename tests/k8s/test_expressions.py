"""Argo's expressions: what they are worth, and what is none."""

from typing import Any

import pytest

from k8s.expressions import parse_expression

GIVEN = {"lastRetry.exitCode": "75", "lastRetry.message": "OOMKilled (exit code 137)", "retries": "2"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("lastRetry.exitCode == '75'", True),
        ("asInt(lastRetry.exitCode) in [75, 143]", True),
        ("lastRetry.exitCode in ['1']", False),
        ("lastRetry.message matches '^OOM'", True),
        ("not (lastRetry.message matches 'OOM|evicted')", False),
        ("!(lastRetry.exitCode != '75') && lastRetry.exitCode == '75'", True),
        ("lastRetry.exitCode == '1' || lastRetry.exitCode == '2' or lastRetry.exitCode == '75'", True),
        ("lastRetry.exitCode == '1' or lastRetry.exitCode == '75' and lastRetry.exitCode == '3'", False),
        ("sprig.int(retries) < 3 ? 'spot' : 'standard'", "spot"),
        ("sprig.trunc(3, lastRetry.message)", "OOM"),
        ("sprig.int(retries) >= 2 ? 'standard' : 'spot'", "standard"),
    ],
)
def test_its_value(text: str, value: Any) -> None:
    assert parse_expression(text).evaluate(GIVEN) == value


def test_its_names() -> None:
    assert parse_expression("a.b == 'c' and d in ['e']").names == {"a.b", "d"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a ==",
        "a == 'b",
        "(a == 'b'",
        "a b",
        "sprig.intt(a) < 3",
        "a in ['b'",
        "a ? 'b'",
        "a $ b",
        "a == 'b')",
        "asInt(a",
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be read|not expected|no function"):
        parse_expression(text)

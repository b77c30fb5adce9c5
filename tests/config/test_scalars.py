"""Numbers and truth values are what the typed text means, or stay text; nothing is read as YAML 1.1's odd forms."""

from typing import Any

import pytest
import yaml

from espnet3.config.scalars import is_null, load_yaml, number, truth

WRITTEN: dict[str, Any] = {
    "12": 12,
    "-3": -3,
    "+7": 7,
    "0": 0,
    "1_000": 1000,
    "0x10": 16,
    "0b11": 3,
    "012": "012",
    "-012": "-012",
    "08": "08",
    "00": "00",
    "0o17": "0o17",
    "12:30": "12:30",
    "1:30.5": "1:30.5",
    "190:20:30": "190:20:30",
    "1e-3": 0.001,
    "1E5": 1e5,
    "1e5": 100000.0,
    "-2e+3": -2000.0,
    ".5": 0.5,
    "-.5": -0.5,
    "5.": 5.0,
    ".5e3": 500.0,
    "0.30": 0.3,
    "00.5": 0.5,
    ".inf": float("inf"),
    "-.inf": float("-inf"),
    "inf": "inf",
    "nan": "nan",
    "1.2.3": "1.2.3",
    "1,000": "1,000",
    "2026-11-28": "2026-11-28",
    "2026-11-28 10:00:00": "2026-11-28 10:00:00",
    "yes": True,
    "off": False,
    "true": True,
    "False": False,
    "y": "y",
    "null": None,
    "~": None,
    "": None,
    "None": "None",
    "=": "=",
    "'12'": "12",
    '"yes"': "yes",
    "1__0": "1__0",
    "_1": "_1",
    "e5": "e5",
    ".e5": ".e5",
    "\u0663": "\u0663",
}


@pytest.mark.parametrize(("text", "value"), WRITTEN.items(), ids=WRITTEN)
def test_a_scalar_of_a_file_is_what_it_looks_like(text: str, value: Any) -> None:
    assert repr(load_yaml(f"key: {text}\n")["key"]) == repr(value)


NUMBERS: dict[str, int | float | None] = {
    "40": 40,
    " 40 ": 40,
    "-40": -40,
    "+4": 4,
    "012": 12,
    "007": 7,
    "08": 8,
    "1_000": 1000,
    "0x28": 40,
    "0X28": 40,
    "0o10": 8,
    "0b101": 5,
    "0.01": 0.01,
    "1e-3": 0.001,
    "1E3": 1000.0,
    ".5": 0.5,
    "5.": 5.0,
    "-.5e+2": -50.0,
    "inf": float("inf"),
    "-.inf": float("-inf"),
    "": None,
    ".": None,
    "e5": None,
    "-": None,
    "1,5": None,
    "1,000": None,
    "12:30": None,
    "4 0": None,
    "40k": None,
    "0x": None,
    "0xg1": None,
    "1__0": None,
    "1_": None,
    "yes": None,
    "nan": None,
    "\u0664\u0660": None,
    "\uff14\uff10": None,
    "9" * 5000: None,
}


@pytest.mark.parametrize(("text", "value"), NUMBERS.items(), ids=[name[:20] for name in NUMBERS])
def test_a_text_stands_for_the_number_that_was_typed(text: str, value: float | None) -> None:
    assert repr(number(text)) == repr(value)


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        (("true", "True", "TRUE", "yes", "Yes", "on", "ON", "1", " true "), True),
        (("false", "False", "FALSE", "no", "NO", "off", "0", "false\n"), False),
        (("", "y", "n", "t", "2", "maybe", "truee", "1.0", "null", "none"), None),
    ],
)
def test_a_text_stands_for_a_truth_value(texts: tuple[str, ...], value: bool | None) -> None:
    assert {text: truth(text) for text in texts} == dict.fromkeys(texts, value)


def test_null_is_written_as_yaml_writes_it() -> None:
    assert [text for text in ("null", "~", "NULL", "none", "", "0") if is_null(text)] == ["null", "~", "NULL"]


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "top: {b: 1, c: 2, b: 3}\n", "1: a\n1: b\n"])
def test_a_key_that_is_written_twice_is_refused(text: str) -> None:
    with pytest.raises(yaml.MarkedYAMLError, match="found duplicate key"):
        load_yaml(text)


def test_a_merge_key_may_be_overruled() -> None:
    assert load_yaml("base: &b {x: 1, y: 2}\nown: {<<: *b, x: 3}\n")["own"] == {"x": 3, "y": 2}

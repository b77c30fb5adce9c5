"""The house numbers: short functions, small files, few parameters, a docstring that says what a module is for."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("espnet3", "egs3", "stages", "k8s", "images", "bench")
SOURCES = [
    file
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("*.py"))
    if not {"data", "exp"} & set(file.relative_to(ROOT).parts[3:4]) or package != "egs3"
]
EVERYTHING = SOURCES + sorted((ROOT / "tests").rglob("*.py"))


def functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("file", EVERYTHING, ids=name)
def test_a_file_stays_under_400_lines_and_its_functions_under_60(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 400
    assert [f"{f.name}: {length(f)} lines" for f in functions(file) if length(f) > 60] == []


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_a_module_says_what_it_is_for(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert not tree.body or ast.get_docstring(tree), f"{name(file)} needs a docstring"


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_a_function_takes_at_most_five_parameters(file: Path) -> None:
    crowded = [f.name for f in functions(file) if f.name != "__init__" and len(positional(f)) > 5]
    assert crowded == []


def positional(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    names = [argument.arg for argument in function.args.posonlyargs + function.args.args]
    return [argument for argument in names if argument not in ("self", "cls")]


def test_functions_are_short_as_a_rule() -> None:
    lengths = sorted(length(function) for file in SOURCES for function in functions(file))
    assert statistics.median(lengths) <= 10
    assert lengths[int(0.95 * len(lengths))] <= 40


def test_files_are_small_as_a_rule() -> None:
    assert statistics.median(len(file.read_text(encoding="utf-8").splitlines()) for file in SOURCES) <= 150

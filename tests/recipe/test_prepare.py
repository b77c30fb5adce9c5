"""One way through: a run's configs and the recipe's own files are read once, whoever makes the run."""

import os
import sys
from collections import Counter
from pathlib import Path

import pytest

from k8s.recipe import read_run_config
from tests.recipe.toy_recipe import Recipe

_opened: list[str] | None = None


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | bytes | os.PathLike):
        caller = sys._getframe(1).f_code.co_filename
        if "importlib" not in caller:  # Python's own reading of what it imports
            _opened.append(os.fsdecode(arguments[0]))


sys.addaudithook(_note)


@pytest.fixture
def opened() -> "list[str]":
    global _opened  # noqa: PLW0603
    _opened = []
    return _opened


def reads(opened: list[str], folder: Path) -> Counter[str]:
    paths = (Path(name).resolve() for name in opened)
    inside = (path.relative_to(folder) for path in paths if path.is_relative_to(folder))
    return Counter(str(path) for path in inside if path.parts[0] in ("conf", "src", "dataset"))


@pytest.mark.parametrize("flags", [[], ["--dry_run"], ["--print_config"]], ids=["run", "dry run", "print"])
def test_run_py_reads_each_file_once(finished: Recipe, opened: list[str], flags: list[str]) -> None:
    done = finished.run(*flags)
    assert done.returncode == 0, done.stderr
    counted = reads(opened, finished.folder)
    assert {"conf/training.yaml", "conf/metrics.yaml", "src/system.py", "dataset/__init__.py"} <= {*counted}
    assert {name: count for name, count in counted.items() if count > 1} == {}


def test_the_generator_reads_each_file_once(finished: Recipe, opened: list[str]) -> None:
    read_run_config(finished.folder, [], {})
    counted = reads(opened, finished.folder)
    assert {"conf/training.yaml", "src/system.py"} <= {*counted}
    assert {name: count for name, count in counted.items() if count > 1} == {}


def test_run_py_and_the_generator_make_the_same_run(finished: Recipe) -> None:
    assert finished.run("--print_config").stdout == read_run_config(finished.folder, [], {}).to_yaml()

"""Files that a config names count by what they hold."""

import os
import time
from pathlib import Path

import pytest

from espnet3.pipeline.contents import named_contents, named_files


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("exp").mkdir()
    for name in ("exp/averaged.safetensors", "exp/config.yaml", "exp/train.log", "lm.arpa"):
        Path(name).write_text(name)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param({"lm": {"arpa": "lm.arpa"}, "beam": 3}, ["lm.arpa"], id="a file"),
        pytest.param({"exp_dir": "exp"}, ["exp/averaged.safetensors", "exp/config.yaml"], id="an experiment"),
        pytest.param([["train.log"], None], ["exp/train.log"], id="a file of the experiment"),
        pytest.param({"text": "no such file", "long": "x" * 3000, "odd": "\0", "empty": ""}, [], id="other text"),
    ],
)
def test_files_are_found_in_any_depth(node: object, expected: list[str]) -> None:
    assert list(named_files(node, Path("exp"))) == expected


def test_another_content_is_another_hash() -> None:
    before = named_files(["lm.arpa"], Path("exp"))
    Path("lm.arpa").write_text("changed")
    assert named_files(["lm.arpa"], Path("exp")) != before


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        pytest.param({"table": "lm.arpa", "n": 3}, ["lm.arpa"], id="a file"),
        pytest.param({"deep": [["exp/train.log"], None]}, ["exp/train.log"], id="in any depth"),
        pytest.param({"folder": "exp", "none": "gone", "odd": "\0", "long": "x" * 3000}, [], id="no regular file"),
    ],
)
def test_contents_are_those_of_regular_files_only(node: object, expected: list[str]) -> None:
    assert list(named_contents(node)) == expected


def test_contents_change_with_the_file_and_not_with_its_time() -> None:
    before = named_contents("lm.arpa")
    os.utime("lm.arpa", (1, 1))
    assert named_contents("lm.arpa") == before
    Path("lm.arpa").write_text("same no.")
    assert named_contents("lm.arpa") != before


def test_a_huge_file_is_known_by_size_and_time_and_costs_no_time() -> None:
    with Path("corpus.tar").open("wb") as file:
        file.truncate(50 * 2**30)
    start = time.monotonic()
    before = named_contents("corpus.tar")
    assert time.monotonic() - start < 1
    os.utime("corpus.tar", (1, 1))
    assert named_contents("corpus.tar") != before

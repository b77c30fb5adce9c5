"""What of a recipe does not travel to a cluster is told, and refused where its code cannot do without it."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from espnet3.errors import ConfigError
from espnet3.recipe.files import LARGEST_FILE
from k8s.recipe import read_run_config
from tests.recipe.toy_recipe import Recipe

WAY_OUT = ("Put data on a volume", "into a package of your own")


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


LEFT = {
    "too large": ("dataset/words.txt", b"a" * (LARGEST_FILE + 1), "has 65537 bytes"),
    "deep below": ("dataset/a/b/words.txt", b"a" * (LARGEST_FILE + 1), "has 65537 bytes"),
    "Latin-1": ("dataset/words.txt", b"caf\xe9\n", "is not UTF-8 text (byte 3 of it)"),
    "UTF-16": ("src/words.txt", "one".encode("utf-16"), "is not text"),
    "binary": ("src/model.bin", b"\x00\x01", "is not text"),
    "a licence": ("LICENSE.corpus", b"\xa9 1999", "is not UTF-8 text (byte 0 of it)"),
    "an odd name": ("dataset/a:b.txt", b"a", "has a name that other systems cannot have"),
    "compiled and not imported": ("src/_fast.cpython-312-x86_64-linux-gnu.so", b"\x7fELF\x00", "is not text"),
}


@pytest.mark.parametrize(("name", "content", "why"), LEFT.values(), ids=LEFT.keys())
def test_what_stays_behind_is_told(
    finished: Recipe, capsys: pytest.CaptureFixture[str], name: str, content: bytes, why: str
) -> None:
    write(finished.folder, {name: content})
    run = read_run_config(finished.folder, [], {})
    told = capsys.readouterr().err
    assert name not in run.recipe.files
    assert f"  {name} {why}\n" in told
    assert f"at most {LARGEST_FILE} bytes" in told
    assert all(way in told for way in WAY_OUT)
    printed = finished.run("--print_config")
    assert (printed.returncode, printed.stderr) == (0, told)


def test_each_is_told_once_and_many_are_counted(finished: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    write(finished.folder, {f"dataset/{number:02}.bin": b"\0" for number in range(12)})
    read_run_config(finished.folder, [], {})
    told = capsys.readouterr().err
    assert told.count("WARNING") == told.count("dataset/09.bin") == 1
    assert "dataset/10.bin" not in told
    assert "  and 2 more\n" in told


def test_a_link_to_nothing_is_told(finished: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    (finished.folder / "dataset/words.txt").symlink_to("gone.txt")
    read_run_config(finished.folder, [], {})
    assert "  dataset/words.txt is a link to nothing\n" in capsys.readouterr().err


@pytest.mark.parametrize("named", ["dataset/words.txt", "./dataset/words.txt", "${recipe_dir}/dataset/words.txt"])
def test_what_a_config_names_is_said_to_be_named(
    finished: Recipe, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    write(finished.folder, {"dataset/words.txt": b"a\0"})
    training = finished.folder / "conf/training.yaml"
    training.write_text(f"{training.read_text()}\nrecipe_dir: {finished.folder}\nlexicon: {named}\n")
    read_run_config(finished.folder, [], {})
    assert "  dataset/words.txt is not text and is named in a config\n" in capsys.readouterr().err


def test_where_all_travels_nothing_is_told(finished: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        finished.folder,
        {
            "dataset/words.txt": b"a" * LARGEST_FILE,
            "src/__pycache__/a.pyc": b"\0",
            "src/.hidden": b"\0",
            "data/large.bin": b"\0",
            "exp/a/train.log": b"\0",
            "local/score.py": b"",
            "data/split.py": b"",
        },
    )
    read_run_config(finished.folder, [], {})
    assert capsys.readouterr().err == ""
    assert finished.run("--print_config").stderr == ""


NEEDED = {
    "a module beside run.py": ({"helpers.py": b"A = 1"}, b"import helpers\n", "helpers.py lies outside of src/"),
    "a name of it": ({"helpers.py": b"A = 1"}, b"from helpers import A\n", "helpers.py lies outside of src/"),
    "a package beside it": ({"local/a.py": b""}, b"import local.a\n", "local lies outside of src/ and dataset/"),
    "inside a function": ({"helpers.py": b""}, b"def a():\n    import helpers\n", "and src/more.py imports it"),
    "a compiled module": (
        {"src/_fast.cpython-312-linux.so": b"\0"},
        b"from . import _fast\n",
        "is not text, and src/more",
    ),
    "by its full name": (
        {"src/_fast.pyd": b"\0"},
        b"from src._fast import run\n",
        "src/_fast.pyd is not text, and src/",
    ),
}


@pytest.mark.parametrize(("files", "code", "said"), NEEDED.values(), ids=NEEDED.keys())
def test_code_that_cannot_come_along_is_refused(
    finished: Recipe, files: Mapping[str, bytes], code: bytes, said: str
) -> None:
    write(finished.folder, {**files, "src/more.py": code})
    with pytest.raises(ConfigError, match="The recipe cannot run in a cluster") as refused:
        read_run_config(finished.folder, [], {})
    assert said in str(refused.value)
    assert "Move it there, or into a package" in str(refused.value)


ELSEWHERE = {
    "a library's": ({"data/split.py": b""}, b"from torch.utils import data\n"),
    "a neighbour's": ({"local/score.py": b""}, b"from . import local\n"),
    "Python's own": ({"json/a.py": b""}, b"import json\n"),
    "not imported": ({"prepare.py": b""}, b"import os\n"),
}


@pytest.mark.parametrize(("files", "code"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_what_is_imported_from_elsewhere_is_not_missed(
    finished: Recipe, capsys: pytest.CaptureFixture[str], files: Mapping[str, bytes], code: bytes
) -> None:
    write(finished.folder, {**files, "src/more.py": code})
    read_run_config(finished.folder, [], {})
    assert capsys.readouterr().err == ""

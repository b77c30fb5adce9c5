"""Files that a config names count by what they hold."""

from pathlib import Path

import pytest

from espnet3.utils.named_files import named_files


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

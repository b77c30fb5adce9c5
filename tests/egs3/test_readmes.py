"""The commands in the READMEs of recipes name flags, stages and configs that there are."""

import re
import shutil
from pathlib import Path

import pytest

from tests.readmes import type_lines

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("recipe", "commands"), [("an4/asr", 4), ("digits/asr", 1)])
def test_its_commands_can_be_typed(recipe: str, commands: int, tmp_path: Path) -> None:
    folder = tmp_path / "egs3" / recipe
    shutil.copytree(ROOT / "egs3" / recipe, folder, ignore=shutil.ignore_patterns("speech", "data", "exp"))
    readme = (folder / "README.md").read_text(encoding="utf-8")
    typed = "\n".join(re.findall(r"^```\n(.*?)^```$", readme, re.DOTALL | re.MULTILINE))
    # The plan of a stage that reads what no stage has made yet would be refused, so only the config is made.
    shown, found = re.subn(r"python (\S*run\.py)", r"python \1 --print_config", typed)
    assert found == commands
    lines = shown.replace("in 1 2 3", "in 2").replace(f"cd egs3/{recipe}", f"cd {folder}")
    done = type_lines(lines, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("schema_version: 1\n") == commands

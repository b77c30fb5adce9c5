"""The interface's own list of stages, from first to last, on a fresh recipe."""

import re
from pathlib import Path

import pytest

from tests.egs3.digits_run import Digits
from tests.spec_texts import RECIPE_SYSTEM, RUN

STAGES = ["create_dataset", "collect_stats", "train", "infer", "measure", "export_debug"]
PLAIN_SYSTEM = """\
from espnet3.systems.asr.system import ASRSystem


class RecipeSystem(ASRSystem):
    pass
"""


def write_recipe(recipe: Digits, system: str, run: str) -> None:
    recipe.write("src/system.py", system)
    recipe.write("run.py", run)


@pytest.mark.slow
def test_the_listed_stages_run_on_a_fresh_recipe_and_only_once(tmp_path: Path) -> None:
    recipe = Digits.new(tmp_path / "digits/asr")
    write_recipe(recipe, PLAIN_SYSTEM, RUN.replace('    "export_debug",\n', ""))
    assert recipe.plan()["train"] == "to do: never run"
    done = recipe.run()
    assert done.returncode == 0, done.stderr
    assert re.findall(r"DONE (\w+)", done.stdout) == STAGES[:-1]
    assert "making it from the training transcripts" in (recipe.folder / "exp/tiny/train.log").read_text()
    assert list(recipe.folder.glob("data/tokenizer/*/characters.json"))

    write_recipe(recipe, RECIPE_SYSTEM, RUN)
    again = recipe.run()
    assert again.returncode == 0, again.stderr
    assert re.findall(r"DONE (\w+)", again.stdout) == ["export_debug"]
    assert "is not asked for" not in again.stdout
    assert (recipe.folder / "exp/tiny/debug_export").is_dir()

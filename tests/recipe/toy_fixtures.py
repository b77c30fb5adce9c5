import shutil
from pathlib import Path

import pytest

from tests.recipe.toy_recipe import ALL, Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(tmp_path / "toy/asr")


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(tmp_path_factory.mktemp("finished") / "toy/asr")
    assert recipe.stages_run_by() == ALL
    return recipe.folder


@pytest.fixture
def finished(finished_once: Path, recipe: Recipe) -> Recipe:
    shutil.rmtree(recipe.folder)
    shutil.copytree(finished_once, recipe.folder)
    return recipe

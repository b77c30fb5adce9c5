"""From a recipe's folder and the flags of run.py to the run config that a workflow carries.

`python -m k8s` calls it. The run is made as run.py makes it (`espnet3.recipe.prepare`), so that what run.py would
refuse is never submitted. What is on the volume, the plan step checks there.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet3.recipe.prepare import prepare, refuse
from espnet3.recipe.recipe import load_recipe
from espnet3.recipe.run_config import RunConfig


def read_run_config(recipe_dir: Path, stages: Sequence[str], files: Mapping[str, Path | None]) -> RunConfig:
    """The run config of a recipe.

    Args:
        recipe_dir: the recipe's folder.
        stages: those to run, in any order; empty for all.
        files: {slot: YAML file}; None for the recipe's own `conf/<slot>.yaml` where there is one.

    Raises:
        ConfigError: names everything that is wrong with the recipe, its stages and its configs.
    """
    recipe = load_recipe(recipe_dir)
    named = {slot: path.absolute() for slot, path in files.items() if path is not None}
    # Relative paths in configs mean the recipe's folder, as they do for run.py.
    with contextlib.chdir(recipe.dir), recipe.activated():
        run = prepare(recipe, stages, named)
        refuse(run.findings)
        return run.config

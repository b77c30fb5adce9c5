"""From a recipe's folder and the flags of run.py to the run config that a workflow carries.

`python -m k8s` calls it. The run is made as run.py makes it (`espnet3.recipe.prepare`), so that what run.py would
refuse is never submitted. What is on the volume, the plan step checks there.
"""

import contextlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from espnet3.errors import ConfigError
from espnet3.recipe.files import LARGEST_FILE
from espnet3.recipe.left_behind import LeftBehind, warning
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
        ConfigError: names everything that is wrong with the recipe, its stages and its configs, or the code that it
            needs and cannot take along.
    """
    recipe = load_recipe(recipe_dir)
    named = {slot: path.absolute() for slot, path in files.items() if path is not None}
    # Relative paths in configs mean the recipe's folder, as they do for run.py.
    with contextlib.chdir(recipe.dir), recipe.activated():
        run = prepare(recipe, stages, named)
        refuse(run.findings)
        for note in run.notes:
            sys.stderr.write(f"note: {note}\n")
        _tell(run.left_behind)
        return run.config


def _tell(left: Sequence[LeftBehind]) -> None:
    """What does not travel, on stderr; whether data are on the volume already, only the cluster knows.

    Raises:
        ConfigError: code that travels imports code that does not.
    """
    if needed := [str(each) for each in left if each.importer]:
        raise ConfigError(
            "\n  ".join(["The recipe cannot run in a cluster, because code of it does not travel:", *needed])
            + f"\nOnly run.py, src/ and dataset/ do, with text of at most {LARGEST_FILE} bytes a file. Move it there, "
            "or into a package that is installed in the image, which conf/workflow.yaml may name."
        )
    sys.stderr.write(warning(left))

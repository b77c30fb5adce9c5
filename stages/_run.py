"""A run as a container finds it: its run config, and its unpacked code.

The entrypoint, `plan` and `report` open a run here; what it is, `espnet3.recipe.prepare` tells them as it tells run.py.
All paths are relative to the working directory, the recipe's folder on the workspace volume; the code lies apart from
it, in `.runs/<digest>/recipe`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from espnet3.pipeline.plan import Decision, decide
from espnet3.pipeline.spec import System
from espnet3.recipe.prepare import Run, prepare_from
from espnet3.recipe.recipe import Recipe, activated, load_system
from espnet3.recipe.run_config import RunConfig


@dataclass(frozen=True)
class OpenedRun:
    """An opened run; its recipe is active."""

    config: RunConfig
    folder: Path
    """Of everything that belongs to this run and to no stage: `.runs/<digest>`."""

    @property
    def recipe_dir(self) -> Path:
        """Where the recipe's code is."""
        return self.folder / "recipe"

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe, with the System that the run config names, which is loaded once."""
        system_cls = load_system(self.recipe_dir, self.config.system)
        return Recipe(self.config.recipe.name, self.recipe_dir, tuple(self.config.stages), system_cls)

    @property
    def system_cls(self) -> type[System]:
        """The System that the run config names."""
        return self.recipe.system_cls

    @cached_property
    def whole(self) -> Run:
        """The run with all its stages."""
        return self.of(self.config.stages)

    def of(self, stages: Sequence[str]) -> Run:
        """The run with some of its stages: their configs are checked."""
        return prepare_from(self.config, self.recipe, stages)


@contextmanager
def opened(path: Path) -> Iterator[OpenedRun]:
    """Read a run config and unpack its code; in the block, the recipe is active.

    Raises:
        ConfigError: the run config is not valid.
    """
    config = RunConfig.load(path)
    run = OpenedRun(config, Path(".runs") / config.digest)
    config.unpack(run.recipe_dir)
    with activated(run.recipe_dir, config.recipe.name):
        yield run


def decide_stage(run: Run, stage: str, forced: bool = False) -> Decision:
    """What is to happen to one stage."""
    return decide(run.system, run.code, stage, forced)

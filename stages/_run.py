"""A run as a container finds it: its run config, its unpacked code, its System; and what of it is to be done.

The entrypoint, `plan` and `report` open a run here. All paths are relative to the working directory, the recipe's
folder on the workspace volume; the code lies apart from it, in `.runs/<digest>/recipe`.
"""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from omegaconf import DictConfig

from espnet3.config.slot_names import SLOTS
from espnet3.pipeline.code import recipe_digests
from espnet3.pipeline.done import Decision, decide
from espnet3.pipeline.spec import System
from espnet3.recipe.recipe import activated, load_system
from espnet3.recipe.run_config import RunConfig


@dataclass(frozen=True)
class Run:
    """An opened run; its recipe is active."""

    config: RunConfig
    folder: Path
    """Of everything that belongs to this run and to no stage: `.runs/<digest>`."""

    @property
    def recipe_dir(self) -> Path:
        """Where the recipe's code is."""
        return self.folder / "recipe"

    @cached_property
    def system_cls(self) -> type[System]:
        """The System that the run config names."""
        return load_system(self.recipe_dir, self.config.system)

    @cached_property
    def system(self) -> System:
        """With the configs of the run."""
        slots = {slot: config for slot, config in self.slots.items() if config is not None}
        return self.system_cls(**slots)

    @cached_property
    def slots(self) -> dict[str, DictConfig | None]:
        """The resolved configs; None where the run has none."""
        return {slot: self.config.config(slot) for slot in SLOTS}

    def decide(self, stages: Sequence[str], forced: Collection[str] = ()) -> list[Decision]:
        """What is to happen to each of `stages`, in this order."""
        return decide(self.system, stages, forced, self.digests)

    @cached_property
    def digests(self) -> dict[str, str]:
        """sha256 of those of the recipe's files that count for fingerprints."""
        return recipe_digests({name: file.text for name, file in self.config.recipe.files.items()})


@contextmanager
def opened(path: Path) -> Iterator[Run]:
    """Read a run config and unpack its code; in the block, the recipe is active.

    Raises:
        ConfigError: the run config is not valid.
    """
    config = RunConfig.load(path)
    run = Run(config, Path(".runs") / config.digest)
    config.unpack(run.recipe_dir)
    with activated(run.recipe_dir, config.recipe.name):
        yield run

"""What a System declares about a stage beside its method, and what the layers below a System may ask of it.

Systems fill `stage_specs` with these (they import them from `espnet3.systems.base.stage`); `run`,
`fingerprint`, `plan` and the workflow generator read them. Which methods there are and what they do is up to the
System.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from omegaconf import DictConfig

from espnet3.config.slot_names import SLOTS


@dataclass(frozen=True)
class StageSpec:
    """A stage's needs and products; one that declares nothing needs no config and always runs."""

    slots: tuple[str, ...] = ()
    """Config slots that must be given."""
    log_dir: str | None = None
    """Dotted reference such as `training_config.data_dir`: where the log goes and the done record lies."""
    reads: tuple[str, ...] = ()
    """Dotted parts of slots that the products depend on; `*` stands for every entry of a list or mapping."""
    ignores: tuple[str, ...] = ()
    """Parts of `reads` that the products do not depend on."""
    exports: tuple[str, ...] = ("Dataset",)
    """What a stage that reads data uses of dataset modules."""
    after: tuple[str, ...] = ()
    """Stages whose products this one uses."""
    inputs: tuple[str, ...] = ()
    """Path templates such as `{training_config.data_dir}`: must exist, or be made by an earlier stage of the run. What
    is in the files counts; a `*` outside of braces stands for any name."""
    can_make: tuple[str, ...] = ()
    """Those of `inputs` that the stage makes itself where no stage before it has."""
    outputs: tuple[str, ...] = ()
    """Path templates of the files and folders that the stage makes, and that must stay as it left them."""
    named_by: tuple[str, ...] = ()
    """Parts of slots by whose contents the products are named (`{@STAGE}` in a template): experiments that share a
    directory then share what is equal, and nothing else."""
    folders: tuple[str, ...] = ()
    """Path templates of folders in which the stage works; that they exist is all that is asked of them."""
    partial_outputs: tuple[str, ...] = ()
    """Path templates of where a stage that can be divided keeps what its shards have finished, until it is merged."""

    @property
    def reads_data(self) -> bool:
        """Whether the stage depends on datasets; a whole slot has some, too."""
        return any(part.split(".")[1:2] in ([], ["dataset"]) for part in self.reads)


@dataclass(frozen=True)
class ProductCheck:
    """What a System found out about products of a stage that are not among its `outputs`, such as recordings."""

    changed: tuple[str, ...] = ()
    """What is not as the stage left it, one line each: the stage runs again."""
    notes: tuple[str, ...] = ()
    """What was not looked at, and how to have it looked at."""


class System(Protocol):
    """What running, planning and checking stages needs of a System; `BaseSystem` has it."""

    stage_specs: ClassVar[Mapping[str, StageSpec]]
    training_config: DictConfig | None
    inference_config: DictConfig | None
    metrics_config: DictConfig | None
    publication_config: DictConfig | None

    def log_directory(self, stage: str) -> Path:
        """Where the log of `stage` goes."""
        ...

    def next_backup(self, stage: str) -> Path | None:
        """Where what `stage` has made goes when it starts anew under other settings; None where it is replaced."""
        ...

    def check_products(self, stage: str) -> ProductCheck:
        """Look at what `stage` has made besides its outputs, in a second or two."""
        ...

    def backups(self, stage: str) -> list[Path]:
        """What `stage` has put away so far, oldest first."""
        ...


def spec_of(system: System | type[System], stage: str) -> StageSpec:
    """The declaration of `stage`; an empty one where the System makes none."""
    return system.stage_specs.get(stage, StageSpec())


def slots_of(system: System) -> dict[str, Any]:
    """The configs of a System by slot, and what it declares of its stages, by which paths are made."""
    return {**{slot: getattr(system, slot) for slot in SLOTS}, "@": system.stage_specs}

"""The parts of a config that the layers below the Systems read too: datasets, and how a section becomes typed settings.

`espnet3.systems.base.config` builds the config slots out of them and is where everybody above imports them from. What
the keys of a dataset mean is told here; what stands behind a `_target_` is described by the class that it names.
"""

from typing import Annotated, Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from espnet3.config.findings import describe
from espnet3.errors import ConfigError

Target = dict[str, Any]
"""A `_target_` with its arguments, built by `espnet3.config.instantiate` in the stage that uses it."""


Folder = Annotated[str, Field(min_length=1)]
"""A path, relative to the working directory; empty, it would mean that directory itself."""


class Section(BaseModel):
    """A part of a config file: typed, immutable, open to a recipe's own keys."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())


class DatasetReference(Section):
    """One dataset of a split."""

    data_src: str | None = None
    """`corpus/system` (package egs3.<corpus>.<system>.dataset) or a dotted module; the recipe's own where left out."""
    data_src_args: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the module's `Dataset`."""
    name: str | None = None
    """Name of a test set; needed there, and unique."""
    transform: Target | None = None
    """Called with each sample before anything else."""


class Dataset(Section):
    """The three splits."""

    train: list[DatasetReference] = Field(default_factory=list)
    valid: list[DatasetReference] = Field(default_factory=list)
    test: list[DatasetReference] = Field(default_factory=list)


class DataConfig(Section):
    """What create_dataset reads of the training config."""

    data_dir: Folder
    """Where create_dataset writes."""
    recipe_dir: str = "."
    """Where the recipe's code is: run.py, conf/, src/, dataset/."""
    dataset: Dataset
    create_dataset: dict[str, Any] = Field(default_factory=dict)
    """Arguments of the dataset module's DatasetBuilder."""


SectionT = TypeVar("SectionT", bound=Section)


def read_config(model: type[SectionT], config: DictConfig | dict[str, Any], slot: str) -> SectionT:
    """The typed settings of a resolved config.

    Raises:
        ConfigError: keys are missing or of the wrong type; names all of them, dotted, beginning with `slot`.
    """
    plain = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    try:
        return model.model_validate(plain)
    except ValidationError as error:
        raise ConfigError("\n".join(describe(finding, slot) for finding in error.errors())) from None

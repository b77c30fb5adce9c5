"""The parts of a config that the layers below the Systems read too: datasets, and how a section becomes typed settings.

`espnet3.systems.base.config` builds the config slots out of them and is where everybody above imports them from. What
the keys of a dataset mean is told here; what stands behind a `_target_` is described by the class that it names.
"""

from collections.abc import Iterator
from typing import Annotated, Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from espnet3.config.findings import Fault, describe, nearest
from espnet3.config.kinds import fit
from espnet3.config.known_keys import unknown_keys
from espnet3.config.runtime_kinds import kinds_of_fields
from espnet3.errors import ConfigError

_MISSING = "???"


def _with_target(node: dict[str, Any]) -> dict[str, Any]:
    # A misspelt _target_ is told by `targets` and by `instantiate`.
    if "_target_" not in node and not nearest("_target_", map(str, node)):
        raise PydanticCustomError(
            "target",
            "needs a _target_, the dotted name of the class or function that takes these arguments: {example}",
            {"example": "{_target_: package.module.Name, ...}."},
        )
    return node


Target = Annotated[dict[str, Any], AfterValidator(_with_target)]
"""A `_target_` with its arguments, built by `espnet3.config.instantiate` in the stage that uses it."""


Folder = Annotated[str, Field(min_length=1)]
"""A path, relative to the working directory; empty, it would mean that directory itself."""


class Section(BaseModel):
    """A part of a config file: typed, immutable, open to a recipe's own keys."""

    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    @field_validator("*", mode="before")
    @classmethod
    def _fitted(cls, value: Any, info: ValidationInfo) -> Any:
        """Values that mean the same are converted, others are told in the words that the arguments of targets get."""
        fitted = fit(kinds_of_fields(cls)[str(info.field_name)], value)
        if fitted.misfits:
            faults = [(misfit.key, misfit.message) for misfit in fitted.misfits]
            raise PydanticCustomError("misfit", "{sentence}", {"sentence": faults[0][1], "faults": faults})
        return fitted.value


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


def section_faults(
    model: type[BaseModel], plain: dict[str, Any], slot: str, own: set[str] | None = None
) -> Iterator[Fault]:
    """All that is wrong with the keys and values of a slot, apart from what stands behind a `_target_`.

    Args:
        model: what the slot may hold.
        plain: its values, resolved.
        slot: its name.
        own: keys that no model has and that are not wrong.
    """
    unknown = list(unknown_keys(model, plain, slot, own or set()))
    yield from (each.fault for each in unknown)
    meant = {each.meant for each in unknown}
    try:
        model.model_validate(plain)
    except ValidationError as error:
        for finding in error.errors():
            key = tuple(str(part) for part in finding["loc"])
            if finding["type"] == "misfit":
                yield from (Fault((*key, *below), message) for below, message in finding["ctx"]["faults"])
            elif finding["input"] != _MISSING and not (finding["type"] == "missing" and key in meant):
                yield Fault(key, describe(finding, "{slot}"), is_whole=True)


def read_config(model: type[SectionT], config: DictConfig | dict[str, Any], slot: str) -> SectionT:
    """The typed settings of a resolved config.

    Raises:
        ConfigError: keys are missing or of the wrong type; names all of them, dotted, beginning with `slot`.
    """
    plain: Any = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    faults = list(section_faults(model, plain, slot, own=set(plain)))
    if faults:
        raise ConfigError("\n".join(fault.sentence(slot) for fault in faults))
    return model.model_validate(plain)

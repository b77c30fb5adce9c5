"""The values of a run's configs as its stages will read them: "40" becomes 40 where a whole number is wanted.

`prepare` calls it once, before anything is checked, stored or compared: so the run config, the fingerprints and the
logs have the value that is meant, however it was written. What cannot be converted stays, and `checks` tells of it.
"""

import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from omegaconf import DictConfig
from pydantic import BaseModel

from espnet3.config.kinds import fit
from espnet3.config.runtime_kinds import kinds_of_fields
from espnet3.config.slots import Slots, as_plain, frozen_copy
from espnet3.config.targets import TargetChecks


def convert_slots(models: Mapping[str, type[BaseModel]], slots: Slots, recipe_dir: Path) -> Slots:
    """The same slots, with the values that their models and targets read.

    Args:
        models: what each slot may hold, `config_models` of the System.
        slots: the resolved configs.
        recipe_dir: where the recipe's `src` and `dataset` are.
    """
    targets = TargetChecks(recipe_dir)
    return slots.with_configs({slot: _convert(models.get(slot), config, targets) for slot, config in slots.items()})


def _convert(model: type[BaseModel] | None, config: DictConfig, targets: TargetChecks) -> DictConfig:
    plain = as_plain(config)
    converted = targets.converted(converted_section(model, plain) if model else plain)
    converted = targets.with_converted_artifacts(targets.with_converted_datasets(converted))
    return config if repr(converted) == repr(plain) else frozen_copy(converted)


def converted_section(model: type[BaseModel], node: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a section, at any depth, of the types of its fields."""
    kinds = kinds_of_fields(model)
    converted = dict(node)
    for name in node.keys() & kinds.keys():
        fitted = fit(kinds[name], node[name])
        value = node[name] if fitted.misfits else fitted.value
        converted[name] = _inside(model.model_fields[name].annotation, value)
    return converted


def _inside(annotation: Any, value: Any) -> Any:
    arguments = get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return converted_section(annotation, value) if isinstance(value, dict) else value
    if get_origin(annotation) in {Union, types.UnionType, Annotated}:
        for choice in arguments:
            value = _inside(choice, value)
    elif isinstance(value, list) and arguments:
        return [_inside(arguments[0], item) for item in value]
    elif isinstance(value, dict) and len(arguments) == 2:
        return {name: _inside(arguments[1], item) for name, item in value.items()}
    return value

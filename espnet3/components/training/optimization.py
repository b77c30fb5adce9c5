"""The optimizer and the learning rate schedule that a config names, and how a checkpoint restores them."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from espnet3.components.training.schedules import Schedule
from espnet3.config.instantiate import Node, prepare
from espnet3.errors import ConfigError


def build_optimizer(node: Node, model: nn.Module) -> Optimizer:
    """The optimizer over the trainable parameters; weight decay spares vectors (biases, norms), as is common.

    Raises:
        ConfigError: the optimizer does not take its arguments.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.dim() > 1]},
        {"params": [parameter for parameter in parameters if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    constructor = prepare(node, "training_config.optimizer")
    try:
        optimizer = constructor(groups)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"training_config.optimizer ({node['_target_']}): {error}") from error
    assert isinstance(optimizer, Optimizer)
    return optimizer


def build_schedule(node: Node | None, optimizer: Optimizer, total_steps: int) -> LRScheduler | None:
    """The schedule over `total_steps` optimizer steps; None for a constant learning rate.

    Raises:
        ConfigError: the schedule does not take its arguments.
    """
    if node is None:
        return None
    constructor = prepare(node, "training_config.scheduler")
    try:
        known = {"total_steps": total_steps} if "total_steps" in inspect.signature(constructor).parameters else {}
        schedule = constructor(optimizer=optimizer, **known)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"training_config.scheduler ({node['_target_']}): {error}") from error
    assert isinstance(schedule, LRScheduler)
    return schedule


def restore_exactly(optimizer: Optimizer, schedule: LRScheduler | None, payload: Mapping[str, Any]) -> None:
    """Bring both to where a checkpoint of the same config left them."""
    optimizer.load_state_dict(payload["optimizer"])
    if schedule is not None:
        schedule.load_state_dict(payload["schedule"])


def restore_progress(optimizer: Optimizer, schedule: LRScheduler | None, payload: Mapping[str, Any]) -> None:
    """Bring both to the step of a checkpoint, but keep the settings (learning rate, decay, length) of this config.

    Raises:
        ConfigError: the checkpoint belongs to other parameters or to another optimizer.
    """
    saved = payload["optimizer"]
    settings = [{name: group[name] for name in group if name != "params"} for group in optimizer.param_groups]
    groups = [{**old, **new} for old, new in zip(saved["param_groups"], settings, strict=True)]
    try:
        optimizer.load_state_dict({**saved, "param_groups": groups})
    except (ValueError, KeyError) as error:
        raise ConfigError(f"The checkpoint's optimizer does not fit training_config.optimizer: {error}.") from error
    if isinstance(schedule, Schedule) and payload["schedule"] is not None:
        schedule.jump(payload["schedule"]["last_epoch"])

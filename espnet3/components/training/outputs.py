"""What a model returns for a batch, checked: the one thing that the training loop asks of a model.

`loop` calls it for training and validation, and our own models return its `Loss`. A mistake in a recipe's own model
would otherwise end deep in the loop, as an error about something else.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from espnet3.errors import ConfigError

EXPECTED = (
    "A model returns loss, stats and weight: a scalar tensor to minimise, a dict of scalar tensors to report, "
    "and a scalar tensor that says for how many units (utterances, tokens) they are the means"
)


class Mean(NamedTuple):
    """A stat that is a mean over other units than the loss."""

    value: Tensor
    """A scalar without a gradient."""
    units: Tensor
    """Their number; a scalar."""


class Loss(NamedTuple):
    """What a model returns for a batch."""

    loss: Tensor
    """Mean over the units; a scalar with a gradient."""
    stats: Mapping[str, Tensor | Mean]
    """Scalars to log, without gradients; means over the units, or over those that they name themselves."""
    weight: Tensor
    """Number of units, such as tokens; a scalar. A batch of 0 units, of which nothing can be learned, moves nothing."""


def output_of(model: Callable[[dict[str, Any]], object], batch: dict[str, Any]) -> Loss:
    """Call the model.

    Raises:
        ConfigError: it returns anything else than loss, stats and weight.
    """
    output = model(batch)
    if not isinstance(output, tuple) or len(output) != len(Loss._fields):
        raise _refused(model, _kind(output))
    loss, stats, weight = output
    for name, value in (("loss", loss), ("weight", weight)):
        if not _is_scalar(value):
            raise _refused(model, f"as {name} {_kind(value)}")
    if not isinstance(stats, Mapping) or not stats:
        raise _refused(model, f"as stats {_kind(stats)}")
    for name, value in stats.items():
        if not all(map(_is_scalar, value if isinstance(value, Mean) else [value])):
            raise _refused(model, f"as stats[{name!r}] {_kind(value)}")
    return Loss(loss, stats, weight)


def _is_scalar(value: object) -> bool:
    return isinstance(value, Tensor) and value.ndim == 0


def _kind(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)}"
    if isinstance(value, tuple | list | dict):
        return f"a {type(value).__name__} of {len(value)}"
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _refused(model: object, what: str) -> ConfigError:
    name = type(getattr(model, "module", model)).__name__
    return ConfigError(f"training_config.model: {name} returned {what} for a batch. {EXPECTED}.")

"""What a training begins with instead of chance: the weights of an earlier model, and parameters that stay as they are.

`training_session` calls it once, before the optimizer is made; a checkpoint of the same training takes its place.
"""

import logging
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from espnet3.errors import ConfigError, DataError
from espnet3.systems.base.config import InitParam

log = logging.getLogger(__name__)
KEY = "training_config.init_param"
_MOST_SHOWN = 5


def load_initial(model: nn.Module, wanted: InitParam) -> None:
    """Give `model` the parameters and buffers of a safetensors file; those that `exclude` names keep what they have.

    Raises:
        ConfigError: a pattern matches nothing, or the file's parameters are not the model's.
        DataError: the file is missing or damaged.
    """
    own = model.state_dict()
    _refuse_idle(wanted.exclude, own, f"{KEY}.exclude")
    found = {name: value for name, value in _read(Path(wanted.file)).items() if not _matches(name, wanted.exclude)}
    expected = {name: value for name, value in own.items() if not _matches(name, wanted.exclude)}
    if faults := list(_differences(found, expected)):
        more = f" and {len(faults) - _MOST_SHOWN} more" if len(faults) > _MOST_SHOWN else ""
        raise ConfigError(
            f"{KEY}.file: {wanted.file} does not fit training_config.model: {'; '.join(faults[:_MOST_SHOWN])}{more}. "
            f"Correct the model, or name what shall begin at random in {KEY}.exclude, such as ['ctc.*']."
        )
    model.load_state_dict(found, strict=False)
    log.info("%d of %d parameters and buffers begin as in %s.", len(found), len(own), wanted.file)


def freeze(model: nn.Module, patterns: list[str]) -> None:
    """Train none of the parameters that a pattern matches.

    Raises:
        ConfigError: a pattern matches nothing, or nothing is left to train.
    """
    parameters = dict(model.named_parameters())
    _refuse_idle(patterns, parameters, "training_config.freeze_param")
    frozen = [name for name in parameters if _matches(name, patterns)]
    if len(frozen) == len(parameters):
        raise ConfigError("training_config.freeze_param: nothing is left to train. Name fewer parameters.")
    for name in frozen:
        parameters[name].requires_grad = False
    if frozen:
        log.info("%d of %d parameters stay as they are.", len(frozen), len(parameters))


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise DataError(f"{KEY}.file: there is no {path}. Name a safetensors file, such as averaged.safetensors.")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{KEY}.file: {path} is not a whole safetensors file ({error}). Name another, or make it anew."
        ) from None


def _differences(found: dict[str, Tensor], expected: dict[str, Tensor]) -> Iterable[str]:
    for name, value in expected.items():
        if name not in found:
            yield f"the file lacks {name}"
        elif found[name].shape != value.shape:
            yield f"{name} is {tuple(found[name].shape)} there and {tuple(value.shape)} here"
    yield from (f"the model lacks {name}" for name in found if name not in expected)


def _refuse_idle(patterns: list[str], names: Iterable[str], key: str) -> None:
    known = list(names)
    if idle := [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in known)]:
        raise ConfigError(
            f"{key}: {', '.join(idle)} matches no parameter of the model, whose first are "
            f"{', '.join(known[:_MOST_SHOWN])}. Correct the pattern."
        )


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

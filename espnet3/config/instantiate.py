"""Building what a config names: `_target_` nodes to objects, with errors that say which key was wrong."""

from collections.abc import Callable
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from espnet3.errors import ConfigError, Espnet3Error

Node = dict[str, Any]


def prepare(node: Node, key: str) -> Callable[..., Any]:
    """Import a `_target_` and build its arguments; the returned callable takes the rest and builds the object.

    Raises:
        ConfigError: it cannot be imported, or an argument of it cannot be built; names `key`.
    """
    try:
        partial: Callable[..., Any] = instantiate({**node, "_partial_": True}, _convert_="all")
    except InstantiationException as error:
        raise ConfigError(f"{key}: {_reason(error)}") from error
    return partial


def build(node: Node, key: str, **objects: Any) -> Any:
    """Build the object that a `_target_` node names; `objects` are arguments that exist at run time alone.

    Raises:
        ConfigError: the constructor does not take the arguments, or refuses a value; names `key`.
    """
    constructor = prepare(node, key)
    try:
        return constructor(**objects)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{key} ({node['_target_']}): {error}") from error


def _reason(error: InstantiationException) -> str:
    cause = error.__cause__
    if isinstance(cause, Espnet3Error):
        return str(cause)
    return str(error)

"""From the YAML files of a recipe to the resolved configs of its System.

`cli` and the workflow generator call `load_slots`; a recipe's own code may call `load_config`. Values that the
slots share are handed down from the training config before interpolations are resolved, so `inference_dir:
${exp_dir}/greedy` works in a file that sets no exp_dir. For what the keys mean, see
`espnet3.systems.base.config`; for whether they are right, `checks`.
"""

import copy
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from espnet3.config.compose import Layer, locate, read_layers
from espnet3.config.slot_names import SLOTS
from espnet3.errors import ConfigError

_SHARED = ("exp_tag", "exp_dir", "data_dir", "recipe_dir")
HANDED_DOWN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "inference_config": {"training_config": (*_SHARED, "dataset")},
    "metrics_config": {
        "training_config": (*_SHARED, "dataset", "seed", "language"),
        "inference_config": ("inference_dir",),
    },
    "publication_config": {"training_config": _SHARED, "inference_config": ("inference_dir", "model")},
}
"""slot → slot that it inherits from → keys taken from there where the slot leaves them out (or null)."""
HANDED_ON = {key for sources in HANDED_DOWN.values() for keys in sources.values() for key in keys}
"""Keys that some slot inherits: they may stand in any slot."""


class Slots(dict[str, DictConfig]):
    """Resolved configs by slot, which still know the line that each key was written in."""

    def __init__(self, configs: Mapping[str, DictConfig], layers: Mapping[str, list[Layer]]) -> None:
        super().__init__(configs)
        self._layers = layers

    def with_configs(self, configs: Mapping[str, DictConfig]) -> "Slots":
        """Other values of the same files."""
        return Slots(configs, self._layers)

    @property
    def layers(self) -> Mapping[str, list[Layer]]:
        """The files of each slot, as they were written."""
        return self._layers

    def locate(self, slot: str, key: tuple[str, ...]) -> str:
        """`file:line` of a key, or the slot's name where no file says it."""
        return locate(self._layers.get(slot, []), key) or slot


def load_config(path: Path | str) -> DictConfig:
    """One file with its `defaults:` merged: mappings recursively, lists replaced; interpolations are left as they are.

    `${self_name:}` stands for the stem of `path`, also in the files of its defaults list.

    Raises:
        ConfigError: a file is missing or malformed (file:line:column), or the defaults run in a circle.
    """
    path = Path(path)
    return _merge(read_layers(path), path)


def load_slots(paths: Mapping[str, Path | None]) -> Slots:
    """The resolved configs of a run: {slot: config} for every slot that has a file, each a copy of its own.

    Args:
        paths: {slot: YAML file}; None leaves the slot out.

    Raises:
        ConfigError: as `load_config` and `resolve_config`.
    """
    files = {slot: Path(paths[slot]) for slot in _in_order(paths) if paths[slot] is not None}  # type: ignore[arg-type]
    layers = {slot: read_layers(path) for slot, path in files.items()}
    configs: dict[str, DictConfig] = {}
    for slot, path in files.items():
        merged = _merge(layers[slot], path)
        _hand_down(slot, merged, configs)
        configs[slot] = resolve_config(merged, slot, path)
    return Slots(configs, layers)


def resolve_config(config: DictConfig, name: str, path: Path | None = None) -> DictConfig:
    """A copy without interpolations.

    Args:
        config: any config; it stays as it is.
        name: its slot, the beginning of the dotted keys in messages.
        path: its file, for messages.

    Raises:
        ConfigError: names every dotted key whose interpolation cannot be resolved, and why.
    """
    problems = [f"{name}.{key}: {reason}{_not_handed_down(name, reason)}" for key, reason in _unresolved(config)]
    if problems:
        origin = f" in {path}" if path else ""
        cure = "Set the keys that they name in the same file, or give a default as in ${oc.env:NAME,default}."
        raise ConfigError(f"Interpolations{origin} cannot be resolved:\n  " + "\n  ".join(problems) + f"\n{cure}")
    return frozen_copy(OmegaConf.to_container(config, resolve=True))


def as_plain(config: DictConfig) -> dict[str, Any]:
    """The values of a resolved config as plain Python."""
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def frozen_copy(plain: Any) -> DictConfig:
    """A config of plain values in which `${` stands for itself: nothing in it is resolved again."""
    return OmegaConf.create(replace_texts(copy.deepcopy(plain), _escape))  # type: ignore[no-any-return]


def _merge(layers: list[Layer], path: Path) -> DictConfig:
    merged = OmegaConf.create({})
    for layer in layers:
        content: Any = layer.content
        for part in reversed(layer.prefix):
            content = {part: content}
        try:
            merged = OmegaConf.merge(merged, content)  # type: ignore[assignment]
        except OmegaConfBaseException as error:
            raise ConfigError(f"{layer.path} cannot be merged: {str(error).splitlines()[0]}.") from None
    plain = OmegaConf.to_container(merged, resolve=False)
    return OmegaConf.create(replace_texts(plain, lambda text: text.replace("${self_name:}", path.stem)))  # type: ignore[no-any-return]


def _in_order(paths: Mapping[str, Any]) -> list[str]:
    return [slot for slot in SLOTS if slot in paths] + [slot for slot in paths if slot not in SLOTS]


def _hand_down(slot: str, config: DictConfig, earlier: Mapping[str, DictConfig]) -> None:
    written = OmegaConf.to_container(config, resolve=False)
    assert isinstance(written, dict)
    for source, keys in HANDED_DOWN.get(slot, {}).items():
        given: Any = earlier.get(source, {})
        for key in keys:
            if written.get(key) is None and given.get(key) is not None:
                config[key] = copy.deepcopy(given[key])


def _unresolved(node: DictConfig | ListConfig, prefix: str = "") -> Iterator[tuple[str, str]]:
    keys: Any = node.keys() if isinstance(node, DictConfig) else range(len(node))
    for key in list(keys):
        if OmegaConf.is_missing(node, key):
            continue
        try:
            value = node[key]
        except OmegaConfBaseException as error:
            yield f"{prefix}{key}", str(error).splitlines()[0]
            continue
        if isinstance(value, DictConfig | ListConfig) and not OmegaConf.is_interpolation(node, key):
            yield from _unresolved(value, f"{prefix}{key}.")


def _not_handed_down(slot: str, reason: str) -> str:
    """Where a key that an interpolation lacks would have come from."""
    names = set(re.findall(r"'(\w+)", reason))
    sources = [source for source, keys in HANDED_DOWN.get(slot, {}).items() if names.intersection(keys)]
    return f", nor does {sources[0]} hand it down" if sources else ""


def _escape(text: str) -> str:
    return re.sub(r"(\\*)\$\{", r"\1\1\\${", text)


def texts_in(node: Any) -> Iterator[str]:
    """Every text among plain config values."""
    if isinstance(node, dict):
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from texts_in(child)
    elif isinstance(node, str):
        yield node


def replace_texts(node: Any, replace: Callable[[str], str]) -> Any:
    """Plain config values with every text in them replaced."""
    if isinstance(node, dict):
        return {key: replace_texts(value, replace) for key, value in node.items()}
    if isinstance(node, list):
        return [replace_texts(value, replace) for value in node]
    return replace(node) if isinstance(node, str) else node

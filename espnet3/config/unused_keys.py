"""Keys at the top of a slot that no model knows: who reads them, and which nobody does.

A recipe may have keys of its own there. One is read where an interpolation of some file, a declaration of the System's
stages or the recipe's own code names it. `checks` asks for those that are certainly read, so that they are no
misspelling; `prepare` for those of which nobody speaks, which are told once.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.config.findings import Finding
from espnet3.config.known_keys import unknown_keys
from espnet3.config.modules import read_source
from espnet3.config.slots import HANDED_ON, Slots, as_plain, texts_in
from espnet3.config.upstream_keys import UPSTREAM

_WORD = re.compile(r"[^\W\d]\w*")
_ACCESS = re.compile(r"""(?<=[.'"])[^\W\d]\w*""")
"""A name as code that reads a key has it: `config.name`, `config["name"]`."""
_LIBRARY = "espnet3."


def own_keys(system_cls: Any, slots: Mapping[str, DictConfig | None], slot: str, recipe_dir: Path) -> set[str]:
    """Names of keys at the top of a slot that are not wrong although no model knows them.

    Args:
        system_cls: the System class, with `stage_specs` and `config_models`.
        slots: the resolved configs; only those of `load_slots` know which interpolations there were.
        slot: the slot.
        recipe_dir: where the recipe's code is.
    """
    config = slots.get(slot)
    known = {*HANDED_ON, *getattr(system_cls.config_models.get(slot), "model_fields", {})}
    if config is None or not set(map(str, config)) - known:
        return HANDED_ON
    if not isinstance(slots, Slots):
        return {*HANDED_ON, *UPSTREAM.get(slot, {})}
    return {*HANDED_ON, *_interpolated(slots), *_words(_ACCESS, _code(system_cls, recipe_dir))}


def unused_keys(system_cls: Any, slots: Slots, stages: Sequence[str], recipe_dir: Path) -> list[Finding]:
    """A finding for each key of the slots that these stages need and that nothing reads.

    Args:
        system_cls: the System class, with `stage_specs` and `config_models`.
        slots: the resolved configs.
        stages: the stages to run.
        recipe_dir: where the recipe's code is.
    """
    specs = [system_cls.stage_specs[stage] for stage in stages if stage in system_cls.stage_specs]
    needed = [slot for slot in slots if slot in {slot for spec in specs for slot in spec.slots}]
    left = [(slot, key) for slot in needed for key in _not_known(system_cls, slots, slot, recipe_dir)]
    if not left:
        return []
    read = {*_interpolated(slots), *_declared(system_cls), *_words(_WORD, _code(system_cls, recipe_dir))}
    return [
        Finding(
            slots.locate(slot, (key,)),
            f"{slot}.{key}: is not used: there is no such setting, and neither another setting nor the recipe's code "
            "reads it.",
        )
        for slot, key in left
        if key not in read
    ]


def _not_known(system_cls: Any, slots: Slots, slot: str, recipe_dir: Path) -> list[str]:
    model, plain = system_cls.config_models.get(slot), as_plain(slots[slot])
    if model is None:
        return []
    own = own_keys(system_cls, slots, slot, recipe_dir)
    told = {each.fault.key[0] for each in unknown_keys(model, plain, slot, own)}
    return [key for key in plain if key not in {*model.model_fields, *HANDED_ON, *told}]


def _interpolated(slots: Slots) -> Iterator[str]:
    """Names in the interpolations of all files."""
    for layers in slots.layers.values():
        for layer in layers:
            for text in texts_in(OmegaConf.to_container(layer.content, resolve=False)):
                for inside in re.findall(r"\$\{([^}]*)", text):
                    yield from _WORD.findall(inside)


def _declared(system_cls: Any) -> Iterator[str]:
    """Names in what the System declares of its stages."""
    for spec in system_cls.stage_specs.values():
        for field in fields(spec):
            value = getattr(spec, field.name)
            for text in value if isinstance(value, tuple) else (value,):
                yield from _WORD.findall(str(text))


def _code(system_cls: type[Any], recipe_dir: Path) -> Iterator[Path]:
    """The recipe's Python files, and those of its System where that is nobody's of ours."""
    yield from recipe_dir.glob("*.py")
    for folder in ("src", "dataset"):
        yield from (recipe_dir / folder).rglob("*.py")
    modules: Mapping[str, Any] = sys.modules
    for each in system_cls.__mro__:
        file = getattr(modules.get(each.__module__), "__file__", None)
        if file and not each.__module__.startswith(_LIBRARY):
            yield Path(file)


def _words(pattern: re.Pattern[str], files: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    for file in dict.fromkeys(files):
        if file.is_file():
            found.update(pattern.findall(read_source(file).decode("utf-8", "replace")))
    return found

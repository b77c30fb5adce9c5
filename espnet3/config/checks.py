"""Everything that is wrong with the config slots of a run, found at once and before its first stage starts.

`cli.main` and the workflow's plan step call `check_slots`. Keys and types come from the models in the System's
`config_models`; for what stands behind a `_target_`, see `targets`; for names of stages, missing slots and
output directories, `preflight`. Nothing here imports a target.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from espnet3.config.findings import Fault, Finding, Key
from espnet3.config.sections import section_faults
from espnet3.config.slots import HANDED_DOWN, Slots, as_plain
from espnet3.config.targets import TargetChecks
from espnet3.config.unused_keys import own_keys
from espnet3.runtime.redaction import environment_secrets, gives_away
from espnet3.runtime.secret_names import is_certainly_secret, is_secret
from espnet3.runtime.secret_values import looks_random

_MISSING = "???"
_PLACEHOLDER = "/path/to/"
_NOT_HERE = (
    "and a config is stored, logged and published in plain text; take it out and set an environment variable where the "
    "stage runs."
)
_CERTAIN = 8
"""Characters from which on a value of the environment is not met by chance."""
_Plain = Mapping[str, dict[str, Any]]


def check_slots(
    system_cls: Any, slots: Mapping[str, DictConfig | None], stages: Sequence[str], recipe_dir: Path | str
) -> list[Finding]:
    """All faults of the slots that these stages need (secrets: of every slot), slot by slot.

    Args:
        system_cls: the System class, with `stage_specs` and `config_models`.
        slots: resolved configs, best as `load_slots` returns them: then findings name file and line.
        stages: the stages to run.
        recipe_dir: where the recipe's `src` and `dataset` are.
    """
    plain = {slot: as_plain(config) for slot, config in slots.items() if config is not None}
    specs = [system_cls.stage_specs[stage] for stage in stages if stage in system_cls.stage_specs]
    needed = {slot for spec in specs for slot in spec.slots}
    targets = TargetChecks(Path(recipe_dir))
    findings: list[Finding] = []
    for slot, config in plain.items():
        faults = list(find_secrets(config))
        if slot in needed:
            model, others = system_cls.config_models.get(slot), own_keys(system_cls, slots, slot, Path(recipe_dir))
            in_sections = list(section_faults(model, config, slot, others)) if model else []
            in_targets = [*targets.check(config), *targets.check_artifacts(config), *targets.check_datasets(config)]
            faults += [*in_sections, *_find_gaps(config), *_not_below(in_targets, in_sections)]
            faults += _check_recipe_dir(config)
        inherited = _inherited(slot, plain, needed)
        own = [fault for fault in faults if not fault.key or fault.key[0] not in inherited]
        findings += [_finding(fault, slot, slots) for fault in own]
    return list(dict.fromkeys(findings))


def _not_below(faults: Iterable[Fault], others: Iterable[Fault]) -> Iterator[Fault]:
    """Faults in what is wrong as a whole need not be told."""
    wrong = {fault.key for fault in others if fault.key}
    yield from (fault for fault in faults if not any(fault.key[: len(key)] == key for key in wrong))


def _finding(fault: Fault, slot: str, slots: Mapping[str, DictConfig | None]) -> Finding:
    where = slots.locate(slot, fault.key) if isinstance(slots, Slots) else slot
    return Finding(where, fault.sentence(slot), fault.is_secret)


def _inherited(slot: str, plain: _Plain, checked: set[str]) -> set[str]:
    """Keys whose faults another checked slot shows already."""
    sources = {source: keys for source, keys in HANDED_DOWN.get(slot, {}).items() if source in checked & plain.keys()}
    return {
        key
        for source, keys in sources.items()
        for key in keys
        if key in plain[source] and plain[slot].get(key) == plain[source][key]
    }


def _find_gaps(node: Any, key: Key = ()) -> Iterator[Fault]:
    """Values that someone has still to fill in."""
    for part, value in _items(node):
        if value == _MISSING:
            yield Fault((*key, part), "is ???: it has no value yet; give it one.")
        elif isinstance(value, str) and value.startswith(_PLACEHOLDER):
            yield Fault((*key, part), f"{value} is a placeholder; give a path of your own.")
        yield from _find_gaps(value, (*key, part))


def find_secrets(config: Any) -> Iterator[Fault]:
    """Secrets in plain config values, by a key that can mean nothing else or by the value; the value is not told."""
    return _find_secrets(config, {value for value in environment_secrets() if len(value) >= _CERTAIN}, ())


def _find_secrets(node: Any, known: set[str], key: Key) -> Iterator[Fault]:
    for part, value in _items(node):
        named = isinstance(node, dict) and part
        if named and is_certainly_secret(named) and any(_is_literal(text, named) for text in _leaves(value)):
            yield Fault((*key, part), f"is a secret, {_NOT_HERE}", is_secret=True)
        elif isinstance(value, str) and gives_away(value, known):
            says = f"holds what is a secret in an address or in the environment, or an access token, {_NOT_HERE}"
            yield Fault((*key, part), says, is_secret=True)
        elif named and isinstance(value, str) and is_secret(named) and looks_random(value):
            yield Fault((*key, part), f"looks like a secret, {_NOT_HERE}", is_secret=True)
        else:
            yield from _find_secrets(value, known, (*key, part))


def _leaves(node: Any) -> Iterator[Any]:
    if isinstance(node, dict | list):
        for _, value in _items(node):
            yield from _leaves(value)
    else:
        yield node


def _is_literal(value: Any, name: str) -> bool:
    """A flag is not a secret, and neither is the path of a file with a key."""
    if value is None or isinstance(value, bool) or value in ("", _MISSING):
        return False
    is_path = isinstance(value, str) and value.startswith(("/", "./", "../", "~/"))
    return not (is_path and name.lower().endswith("key"))


def _check_recipe_dir(config: dict[str, Any]) -> Iterator[Fault]:
    directory = config.get("recipe_dir")
    if isinstance(directory, str) and not Path(directory).is_dir():
        yield Fault(
            ("recipe_dir",), f"{Path(directory).absolute()} is not a folder; give the one of run.py, src/ and dataset/."
        )


def _items(node: Any) -> list[tuple[str, Any]]:
    if isinstance(node, dict):
        return [(str(key), value) for key, value in node.items()]
    return [(str(place), value) for place, value in enumerate(node)] if isinstance(node, list) else []

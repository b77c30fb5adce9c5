"""Fingerprints: what a stage's products depend on, as one hash.

A fingerprint covers the parts of the config that a stage reads, what is in the files that they name where the stage
asks for that (`StageSpec.files`), the recipe's own code as far as the stage depends on it, the fingerprints of the
stages before it, the System class and the package version. `done` decides with them what need not run again; the stages
ask for the one that they run under (`stage_fingerprint`) so as never to mix products of two. Settings that change no
byte of the products are left out.

Of the recipe's own code (`code`), a stage depends on

- dataset/ and other recipes' dataset modules where it reads data (`dataset` is among the parts of the config that it
  depends on), or where its settings name something in them;
- src/, as a whole because its modules import each other, where its settings name something in it (`src.model.Net`), or
  where the System's class comes from src/ and changes the stage: it overrides the stage's method or anything else that
  its base has and that is not a stage, such as `__init__` or `exp_dir`. A further stage changes no other one;
- what one of the two imports of the other.

What a class does without being named in one of these ways, such as patching the library when it is imported, no
fingerprint sees.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.config.slot_names import SLOTS
from espnet3.pipeline.code import code_of
from espnet3.pipeline.spec import StageSpec, System, spec_of
from espnet3.runtime.versions import package_version

COSMETIC = (
    "num_workers",
    "parallel",
    "stage_log_mode",
    "dataloader.num_workers",
    "trainer.log_every_n_steps",
    "trainer.every_n_minutes",
    "trainer.resume",
)
"""Keys, relative to a slot, on which no product's bytes depend."""

Slots = Mapping[str, DictConfig | None]
Covered = dict[str, Any]
"""What a fingerprint covers: dotted config keys, `file:<path>`, `after:<stage>`, `system`, `package`; with values."""


@dataclass(frozen=True)
class StageRun:
    """What the running stage runs under."""

    fingerprint: str
    covered: Covered
    forced: bool = False


_running: ContextVar[StageRun | None] = ContextVar("stage_run", default=None)


@contextmanager
def running(run: StageRun) -> Iterator[None]:
    """Let the stage inside the block see its fingerprint and whether it is forced."""
    before = _running.set(run)
    try:
        yield
    finally:
        _running.reset(before)


def current_fingerprint() -> str | None:
    """The fingerprint of the running stage; None where a System is used by hand."""
    run = _running.get()
    return run.fingerprint if run else None


def current_covered() -> Covered | None:
    """What the running stage's fingerprint covers; None where a System is used by hand."""
    run = _running.get()
    return run.covered if run else None


def forced() -> bool:
    """Whether the running stage is to start over whatever it finds."""
    run = _running.get()
    return run is not None and run.forced


def stage_fingerprint(config: DictConfig | Mapping[str, Any]) -> str:
    """The running stage's fingerprint, or, where a System is used by hand, one over its own config."""
    return current_fingerprint() or fingerprint_of(stage_covered(config))


def stage_covered(config: DictConfig | Mapping[str, Any]) -> Covered:
    """What `stage_fingerprint(config)` covers, to tell a user what differs (`differences`)."""
    covered = current_covered()
    return covered if covered is not None else _leaves(_without(_plain(config), COSMETIC))


def fingerprint_of(mapping: Mapping[str, Any] | DictConfig) -> str:
    """sha256 (hex) of a mapping of plain values, whatever the order of its keys."""
    canonical = json.dumps(_plain(mapping), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode()).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for each entry that differs, such as `optimizer.lr: 0.002 → 0.001`."""
    keys = [key for key in sorted({*old, *new}) if old.get(key, _ABSENT) != new.get(key, _ABSENT)]
    return [_difference(key, old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys]


def cover(
    system: type[System],
    stages: Iterable[str],
    slots: Slots,
    files: Mapping[str, str],
    contents: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Covered]:
    """What the fingerprint of each of `stages` covers.

    Args:
        system: the System class of the recipe.
        stages: names of stages.
        slots: the configs, resolved.
        files: the recipe's own files, as `recipe_digests` gives them.
        contents: for a stage that asks for it (`StageSpec.files`), what is in the files that its settings name.
    """
    plain = {slot: _plain(config) for slot, config in slots.items() if config is not None}

    @cache
    def covered_by(stage: str) -> Covered:
        spec = spec_of(system, stage)
        settings = _covered_config(spec, plain)
        after = {f"after:{earlier}": fingerprint_of(covered_by(earlier)) for earlier in spec.after}
        code = code_of(system, stage, settings, files)
        named = {f"file:{path}": content for path, content in (contents or {}).get(stage, {}).items()}
        # As a done record gives it back: a value that JSON lacks must not differ from itself.
        return dict(
            json.loads(json.dumps({**settings, **code, **named, "package": package_version(), **after}, default=str))
        )

    return {stage: covered_by(stage) for stage in stages}


def _covered_config(spec: StageSpec, plain: dict[str, Any]) -> Covered:
    plain = {slot: config for slot, config in plain.items() if _is_read(spec, slot)}
    plain = _without(plain, [*(f"{slot}.{key}" for slot in plain for key in COSMETIC), *spec.ignores])
    return {key: value for part in spec.reads for key, value in _select(plain, part).items()}


def _is_read(spec: StageSpec, slot: str) -> bool:
    return any(part.partition(".")[0] == slot for part in spec.reads)


def _select(plain: Any, part: str) -> Covered:
    """The leaves of a dotted part; with `*`, the set of values that it stands for."""
    if "*" in part:
        values = {json.dumps(value, sort_keys=True) for value in find(plain, part.split(".")) if value is not None}
        return {part: sorted(values)}
    found = find(plain, part.split("."))
    return _leaves(found[0], part) if found else {}


def parts_of(slots: Slots, parts: Iterable[str]) -> list[Any]:
    """The values, made plain, of dotted parts of slots; those that are not there are left out."""
    plain = {slot: _plain(config) for slot, config in slots.items() if config is not None}
    return [value for part in parts for value in find(plain, part.split("."))]


def find(node: Any, path: list[str]) -> list[Any]:
    """The values at a dotted path, of which `*` stands for every entry of a list or mapping."""
    if not path:
        return [node]
    head, rest = path[0], path[1:]
    if head == "*":
        entries = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return [value for entry in entries for value in find(entry, rest)]
    return find(node[head], rest) if isinstance(node, dict) and head in node else []


def _leaves(node: Any, key: str = "") -> Covered:
    prefix = f"{key}." if key else ""
    if isinstance(node, dict):
        return {name: value for child in node for name, value in _leaves(node[child], f"{prefix}{child}").items()}
    if isinstance(node, list) and any(isinstance(entry, dict | list) for entry in node):
        return {name: value for i, entry in enumerate(node) for name, value in _leaves(entry, f"{prefix}{i}").items()}
    return {} if node in ({}, []) else {key: node}


def _without(node: dict[str, Any], keys: tuple[str, ...] | list[str]) -> dict[str, Any]:
    for key in keys:
        node = _dropped(node, key.split("."))
    return node


def _dropped(node: Any, path: list[str]) -> Any:
    head, rest = path[0], path[1:]
    if not isinstance(node, dict) or head not in node:
        return node
    if not rest:
        return {key: value for key, value in node.items() if key != head}
    return {**node, head: _dropped(node[head], rest)}


def _plain(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else dict(config)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


_ABSENT: Any = object()


def _difference(key: str, old: Any, new: Any) -> str:
    if key.startswith("file:"):
        change = "is new" if old is _ABSENT else "is gone" if new is _ABSENT else "changed"
        return f"{key.removeprefix('file:')} {change}"
    if key.startswith("after:"):
        return f"{key.removeprefix('after:')} has other settings"
    if key == "package":
        return f"package {old} → {new}"
    slot, _, inside = key.partition(".")
    return f"{inside if slot in SLOTS else key}: {_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    return "(not set)" if value is _ABSENT else json.dumps(value, ensure_ascii=False, default=str)

"""The settings that a stage reads, and what is in the files that they name.

`fingerprint` makes a stage's inputs of them; `paths` names the products that experiments share by them. A setting that
is the path of a file or of a folder counts by what is in it. Where a stage's files are, is not known here.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.pipeline.contents import content_of, is_model
from espnet3.pipeline.folders import ProductPlaces, files_of, is_folder
from espnet3.pipeline.spec import StageSpec

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
Settings = dict[str, Any]
"""Values by dotted key."""
Slots = Mapping[str, Any]
"""The configs by slot, and under `SPECS` what the System declares of its stages."""
SPECS = "@"
"""No slot has this name."""


@dataclass(frozen=True)
class FileInput:
    """A file or folder that a stage reads, with what is in it."""

    path: str
    digest: str
    size: int


def product_key(spec: StageSpec, slots: Slots) -> str:
    """Twelve hexadecimal digits that name what a stage makes by the contents of what it depends on."""
    settings = leaves_of(spec.named_by, spec.ignores, slots)
    places = ProductPlaces(log_dirs=log_dirs({slot: slots.get(slot) for slot in (*spec.slots, SPECS)}))
    contents = contents_named(settings, places)
    digests = {key: each.digest for key, each in contents.items()}
    return fingerprint_of({"settings": without_files(settings, contents), "contents": digests})[:12]


def contents_named(settings: Settings, places: ProductPlaces, relative_to: Sequence[Path] = ()) -> dict[str, FileInput]:
    """What is in the files and folders that settings name, by the setting's key.

    Args:
        settings: values by dotted key.
        places: where products are, which are no inputs.
        relative_to: folders to which a path may be relative, too.
    """
    contents: dict[str, FileInput] = {}
    for key, text in names_of_files(settings):
        paths = (Path(text), *(folder / text for folder in relative_to))
        found = (_contents_at(key, path, places) for path in paths if not places.is_own(path))
        contents |= next(filter(None, found), {})
    return contents


def folders_named(settings: Settings) -> list[tuple[str, Path]]:
    """The folders that settings name, by the setting's key."""
    return [(key, Path(text)) for key, text in names_of_files(settings) if is_folder(Path(text))]


def log_dirs(slots: Slots) -> list[Path]:
    """Where the stages that the slots' System declares leave their logs, and with them most of their products."""
    references = {spec.log_dir for spec in slots.get(SPECS, {}).values() if spec.log_dir}
    values = (_value_of(reference, slots) for reference in sorted(references))
    return [Path(value) for value in values if isinstance(value, str)]


def fingerprint_of(mapping: Mapping[str, Any] | DictConfig) -> str:
    """sha256 (hex) of a mapping of plain values, whatever the order of its keys."""
    canonical = json.dumps(plain_of(mapping), sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(canonical.encode(errors="surrogatepass")).hexdigest()


def settings_of(spec: StageSpec, slots: Slots) -> Settings:
    """The settings that a stage reads."""
    return leaves_of(spec.reads, spec.ignores, slots)


def leaves_of(parts: Sequence[str], ignores: Sequence[str], slots: Slots) -> Settings:
    """The values of dotted parts of slots, without those that are ignored or change no byte of a product."""
    read = {part.partition(".")[0] for part in parts}
    plain = {slot: plain_of(config) for slot, config in slots.items() if config is not None and slot in read}
    plain = without_keys(plain, [*(f"{slot}.{key}" for slot in plain for key in COSMETIC), *ignores])
    return {key: value for part in parts for key, value in _select(plain, part).items()}


def names_of_files(settings: Settings) -> Iterator[tuple[str, str]]:
    """Texts that may be a path, by key; of a list, each entry by its place. A bare word is a setting, not a file."""
    for key, value in settings.items():
        entries = enumerate(value) if isinstance(value, list) else [(None, value)]
        for place, text in entries:
            if isinstance(text, str) and "\0" not in text and (re.search(r"[./]", text) or key.endswith("_dir")):
                yield (key if place is None else f"{key}.{place}"), text


def _contents_at(key: str, path: Path, places: ProductPlaces) -> dict[str, FileInput]:
    """What is at `path`, which a setting names: a file, or each file of a model or a folder without products."""
    found = _file_input(path)
    if found:
        return {key: found}
    try:
        files = files_of(path) if path.is_dir() and (is_model(path) or not places.hold(path, key)) else None
    except (OSError, ValueError):  # too long for a path
        return {}
    inputs = {f"{key}/{file.relative_to(path).as_posix()}": _file_input(file) for file in files or ()}
    return {role: each for role, each in inputs.items() if each}


def _value_of(reference: str, slots: Slots) -> Any:
    slot, _, key = reference.partition(".")
    config = slots.get(slot)
    if isinstance(config, DictConfig):
        return OmegaConf.select(config, key)
    return next(iter(find(config, key.split("."))), None)


def _file_input(path: Path) -> FileInput | None:
    content = content_of(path)
    return FileInput(str(path), content.digest, content.size) if content else None


def without_files(settings: Settings, contents: Mapping[str, FileInput]) -> Settings:
    """The settings without those that name a file: what is in it counts instead."""
    named = {role.partition("/")[0] for role in contents}
    kept: Settings = {}
    for key, value in settings.items():
        if isinstance(value, list) and any(f"{key}.{place}" in named for place in range(len(value))):
            kept |= {f"{key}.{place}": each for place, each in enumerate(value) if f"{key}.{place}" not in named}
        elif key not in named:
            kept[key] = value
    return kept


def _select(plain: Any, part: str) -> Settings:
    """The leaves of a dotted part; with `*`, the set of values that it stands for."""
    if "*" in part:
        values = {json.dumps(value, sort_keys=True) for value in find(plain, part.split(".")) if value is not None}
        return {part: [json.loads(value) for value in sorted(values)]}
    found = find(plain, part.split("."))
    return leaves(found[0], part) if found else {}


def leaves(node: Any, key: str = "") -> Settings:
    """The values of a plain config by dotted key; a list of plain values is one value, what is empty is none."""
    prefix = f"{key}." if key else ""
    if isinstance(node, dict):
        return {name: value for child in node for name, value in leaves(node[child], f"{prefix}{child}").items()}
    if isinstance(node, list) and any(isinstance(entry, dict | list) for entry in node):
        return {name: value for i, entry in enumerate(node) for name, value in leaves(entry, f"{prefix}{i}").items()}
    return {} if node in ({}, []) else {key: node}


def without_keys(node: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A plain config without some dotted keys."""
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


def plain_of(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """The values of a config as plain Python."""
    plain = OmegaConf.to_container(config, resolve=True) if OmegaConf.is_config(config) else dict(config)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def find(node: Any, path: list[str]) -> list[Any]:
    """The values at a dotted path, of which `*` stands for every entry of a list or mapping."""
    if not path:
        return [node]
    head, rest = path[0], path[1:]
    if head == "*":
        entries = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return [value for entry in entries for value in find(entry, rest)]
    return find(node[head], rest) if isinstance(node, dict) and head in node else []

"""A YAML file and those that its `defaults:` list names, as layers to be merged in order.

`slots` merges the layers; `checks` asks `locate` for the line of a key. The list means what it means to
Hydra: `name`, `group/option`, `{group: option}` (lands under the key `group`), `{group@package: option}`, `_self_`
(last where left out), null for nothing. All names are relative to the file that lists them. Hydra's overrides and
search paths are left out.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from espnet3.config.findings import nearest
from espnet3.config.scalars import load_yaml
from espnet3.errors import ConfigError

Key = tuple[str, ...]
_SELF = "_self_"
_FORMS = "a name, {group: option}, _self_ or null"


@dataclass(frozen=True)
class Layer:
    """The content of one file and the key that it lands under (none: the top)."""

    path: Path
    prefix: Key
    content: DictConfig


def read_layers(path: Path, prefix: Key = (), trail: tuple[Path, ...] = ()) -> list[Layer]:
    """The layers of `path`, first to last in order of merging.

    Args:
        path: the file.
        prefix: the key under which its content lands.
        trail: the files whose `defaults:` led here.

    Raises:
        ConfigError: a file is missing or malformed, or the lists run in a circle.
    """
    if path.resolve() in trail:
        circle = " → ".join(str(file) for file in (*trail[trail.index(path.resolve()) :], path.resolve()))
        raise ConfigError(f"The defaults lists run in a circle: {circle}. Take one of these entries out.")
    content = read_yaml(path)
    entries = _pop_defaults(content, path)
    layers: list[Layer] = []
    for name, package in entries:
        if name == _SELF:
            layers.append(Layer(path, prefix, content))
        else:
            child = path.parent / f"{name.removesuffix('.yaml')}.yaml"
            _check_listed(child, name, path)
            below = () if package is None else (*prefix, *package)
            layers += read_layers(child, below, (*trail, path.resolve()))
    return layers


def read_yaml(path: Path) -> DictConfig:
    """The mapping in one file, interpolations unresolved; an empty file is an empty mapping.

    Raises:
        ConfigError: with file, line and column of what cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = load_yaml(text)
        content = OmegaConf.create(content or {}) if isinstance(content, dict | None) else None
    except FileNotFoundError:
        raise ConfigError(f"There is no config file {path}.{_neighbours(path)}") from None
    except OSError as error:
        raise ConfigError(f"The config file {path} cannot be read: {error.strerror}.{_neighbours(path)}") from error
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_explain(error, path)) from None
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"{path}: {_first_line(error)}. An interpolation is written ${{key}} or ${{oc.env:NAME,default}}."
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(
            f"{path} is not UTF-8 text in YAML ({' '.join(str(error).split())}). Save it as UTF-8, without control "
            "characters."
        ) from None
    except RecursionError:
        raise ConfigError(
            f"{path}: an alias (*name) stands inside its own anchor (&name); write the value out."
        ) from None
    if not isinstance(content, DictConfig):
        raise ConfigError(f"{path} holds no mapping; a config maps keys to values, such as `exp_tag: first`.")
    return content


def locate(layers: Iterable[Layer], key: Sequence[str]) -> str | None:
    """`file:line` of a key (list positions are keys too), of its nearest parent where it is not written, or None.

    Where several layers set it, the last one counts.
    """
    best: tuple[int, str] | None = None
    for layer in layers:
        inside = tuple(key[len(layer.prefix) :])
        if tuple(key[: len(layer.prefix)]) != layer.prefix:
            continue
        depth, line = _descend(layer.path, inside)
        if best is None or depth + len(layer.prefix) >= best[0]:
            best = depth + len(layer.prefix), f"{_short(layer.path)}:{line}"
    return best[1] if best else None


def _pop_defaults(content: DictConfig, path: Path) -> list[tuple[str, Key | None]]:
    if "defaults" not in content:
        return [(_SELF, ())]
    plain = OmegaConf.to_container(content, resolve=False)
    assert isinstance(plain, dict)
    del content["defaults"]
    entries = plain["defaults"] or []
    if not isinstance(entries, list):
        raise ConfigError(f"{_line_of(path, 'defaults')}: `defaults` must be a list; its entries are {_FORMS}.")
    parsed = [item for entry in entries for item in _parse_entry(entry, path)]
    if not any(name == _SELF for name, _ in parsed):
        parsed.append((_SELF, ()))
    return parsed


def _parse_entry(entry: Any, path: Path) -> Iterator[tuple[str, Key | None]]:
    if entry is None:
        return
    if isinstance(entry, str) and "${" not in entry:
        yield entry, () if ".." in entry.split("/") else tuple(entry.split("/")[:-1])
    elif isinstance(entry, dict) and len(entry) == 1:
        ((key, options),) = entry.items()
        group, _, package = str(key).partition("@")
        for option in options if isinstance(options, list) else [options]:
            if option is not None:
                yield f"{group}/{option}", _package(group, package)
    else:
        raise ConfigError(
            f"{_line_of(path, 'defaults')}: cannot read the defaults entry {entry!r}; it may be {_FORMS}."
        )


def _package(group: str, package: str) -> Key | None:
    """Where an option lands, below the file that lists it; None for the top of the whole config."""
    if package == "_global_":
        return None
    if package == "_here_":
        return ()
    return tuple(package.split(".")) if package else tuple(group.split("/"))


def _check_listed(child: Path, name: str, path: Path) -> None:
    if not child.is_file():
        raise ConfigError(
            f"{_line_of(path, 'defaults')} names {name!r}, but there is no file {child}.{_neighbours(child)}"
        )


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f" The folder {path.parent} does not exist either."
    files = sorted(file.name for file in path.parent.iterdir() if file.suffix == ".yaml")
    if similar := nearest(path.name, files, 0.6):
        return f" Did you mean {path.with_name(similar)}?"
    return f" That folder has: {', '.join(files)}." if files else " That folder has no .yaml file."


def _explain(error: yaml.MarkedYAMLError, path: Path) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark else str(path)
    context = f" {error.context}" if error.context else ""
    cure = "Check the indentation, the colons and the quotes of this line and the one before."
    if "'\\t'" in str(error.problem):
        cure = "Indent with spaces: YAML allows no tabs."
    elif "duplicate" in str(error.problem):
        cure = "Keep one of the two."
    return f"{place}: malformed YAML{context}: {error.problem}. {cure}"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _compose(text: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return None


def _descend(path: Path, key: Sequence[str]) -> tuple[int, int]:
    node = None
    with suppress(OSError, UnicodeDecodeError):
        node = _compose(path.read_text(encoding="utf-8"))
    line, depth = 1, 0
    for part in key:
        found = _child(node, part)
        if found is None:
            break
        line, depth, node = found[0].start_mark.line + 1, depth + 1, found[1]
    return depth, line


def _child(node: Any, part: str) -> tuple[Any, Any] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
        return node.value[int(part)], node.value[int(part)]
    return None


def _line_of(path: Path, key: str) -> str:
    return f"{path}:{_descend(path, (key,))[1]}"


def _short(path: Path) -> Path:
    absolute = path.resolve()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else path

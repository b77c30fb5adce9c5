"""A cluster's profile: the chart's `values.yaml` with `profiles/<cluster>.yaml` laid over it, as Helm does.

`read_profile` checks the whole against the chart's closed schema, so that a misspelt key is an error here as it is in
Helm, and returns the part that workflows depend on. Defaults are in the chart's file alone; the rest of it, such as
claims' sizes and the network policy, is up to Helm.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache, reduce
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from espnet3.config.findings import nearest
from espnet3.errors import ConfigError
from k8s.profile import GpuPool, Profile
from k8s.quantities import CPU, MEMORY, STORAGE, Resource, fault_of

ROOT = Path(__file__).parent.parent
CHART = ROOT / "charts" / "espnet3"
PROFILES = Path(__file__).parent / "profiles"
_AMOUNTS: Mapping[str, Resource] = {
    "workspace.size": STORAGE,
    "data.size": STORAGE,
    "pools.gpu.shm": MEMORY,
    **{f"pools.{pool}.largest.cpu": CPU for pool in ("cpu", "gpu")},
    **{f"pools.{pool}.largest.memory": MEMORY for pool in ("cpu", "gpu")},
}
"""What a value is an amount of; the schema, which Helm reads, too, knows less of them."""
FILLED_IN = ("workflow.name", "workflow.namespace", "workflow.uid")
"""What Argo replaces between double braces wherever they stand; a workflow with an unknown name there is refused."""


def read_profile(name: str) -> Profile:
    """The profile of a cluster.

    Args:
        name: one of `profiles/`, or the path of a YAML file.

    Raises:
        ConfigError: there is no such profile, or a key or value of it is wrong; all faults at once.
    """
    path = _locate(name)
    values = merged(_load(CHART / "values.yaml"), _load(path))
    _refuse([*_faults(values), *_wrong_amounts(values), *_unknown_tags(values)], path)
    profile = _typed(values, path)
    _check_spot(profile.pools.gpu, path)
    _check_another_node(profile.pools.gpu, path)
    return profile


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` laid over `below` as Helm does: mappings key by key, everything else replaced, null removes.

    The null of a key that `below` does not have stays, so that a misspelt one is reported.
    """
    both = dict(below)
    for key, value in above.items():
        old = both.get(key)
        if value is None and key in below:
            del both[key]
        else:
            both[key] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return both


def _locate(name: str) -> Path:
    if name.endswith((".yaml", ".yml")):
        path = Path(name)
        if path.is_file():
            return path
        raise ConfigError(f"There is no profile {name}. Give the path of a YAML file, or one of {_known()}.")
    path = PROFILES / f"{name}.yaml"
    if path.is_file():
        return path
    near = nearest(name, [file.stem for file in PROFILES.glob("*.yaml")], likeness=0.5)
    hint = f"Did you mean {near}? " if near else ""
    raise ConfigError(
        f"There is no profile {name}. {hint}There are {_known()}; a path that ends in .yaml is read, too."
    )


def _known() -> str:
    return ", ".join(sorted(file.stem for file in PROFILES.glob("*.yaml")))


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _load(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is malformed YAML: {error}. Correct it.") from None
    if not isinstance(content, dict | None):
        raise ConfigError(f"{path} holds no mapping; write values such as device: cuda.")
    return content or {}


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads((CHART / "values.schema.json").read_text(encoding="utf-8")))


def _refuse(faults: list[str], path: Path) -> None:
    if faults:
        raise ConfigError("\n  ".join([f"The profile {_shown(path)} is wrong:", *faults]))


def _typed(values: Mapping[str, Any], path: Path) -> Profile:
    try:
        return Profile.model_validate(values)
    except ValidationError as error:
        _refuse([_gap([str(part) for part in finding["loc"]]) for finding in error.errors()], path)
        raise


def _gap(place: list[str]) -> str:
    """What null has removed and workflows cannot do without, although the chart can."""
    default = reduce(lambda content, key: content[key], place, _load(CHART / "values.yaml"))
    own = "" if isinstance(default, dict) else f", {json.dumps(default)}"
    return (
        f"{'.'.join(place)}: null leaves workflows without a value. Give it one, or leave the key out to have that of "
        f"the chart's values.yaml{own}."
    )


def _faults(content: Mapping[str, Any]) -> Iterator[str]:
    for error in sorted(
        _validator().iter_errors(content), key=lambda error: [str(part) for part in error.absolute_path]
    ):
        place = ".".join(str(part) for part in error.absolute_path)
        if place in _AMOUNTS:
            continue  # `_wrong_amounts` has a sentence for it
        if error.validator == "additionalProperties" and error.schema.get("additionalProperties") is False:
            known = error.schema.get("properties", {})
            yield from (_unknown(place, key, list(known)) for key in error.instance if key not in known)
        else:
            yield f"{place or 'the file'}: {error.message}."


def _wrong_amounts(values: Mapping[str, Any]) -> Iterator[str]:
    """The empty text, where there is one by default, stands for no limit, and a quota may be nothing."""
    for place, resource in _AMOUNTS.items():
        value = _value(values, place)
        if value is not None and not (value == "" and "largest" in place):
            fault = fault_of(str(value), resource)
            if fault is None and not isinstance(value, str):
                fault = f'is a number, which readers of YAML write in several ways; write "{value}"'
            if fault:
                yield f"{place}: {fault} (given: {value!r})."
    for place in ("quota.hard", "doctor.resources.requests", "doctor.resources.limits"):
        for key, value in (_value(values, place) or {}).items():
            fault = fault_of(str(value), STORAGE) if key.endswith(("memory", "storage")) and str(value) != "0" else None
            if fault:
                yield f"{place}.{key}: {fault} (given: {value!r})."


def _value(values: Any, place: str) -> Any:
    """What a dotted name stands for; None where there is nothing."""
    return reduce(
        lambda content, key: content.get(key) if isinstance(content, dict) else None, place.split("."), values
    )


def _unknown(place: str, key: str, known: list[str]) -> str:
    dotted = f"{place}.{key}" if place else key
    near = nearest(key, known, likeness=0.6)
    return f"{dotted}: there is no such key; " + (f"did you mean {near}?" if near else f"known: {', '.join(known)}.")


def _unknown_tags(content: Any, place: str = "") -> Iterator[str]:
    """Argo reads every text of a workflow, so also those of the environment and the annotations."""
    if isinstance(content, str):
        for tag in re.findall(r"\{\{.*?\}\}", content, re.DOTALL):
            if tag.strip("{} ") not in FILLED_IN:
                known = ", ".join(f"{{{{{name}}}}}" for name in FILLED_IN)
                yield f"{place}: Argo cannot fill in {tag}; it knows {known}."
    elif isinstance(content, dict | list):
        entries = content.items() if isinstance(content, dict) else enumerate(content)
        for key, value in entries:
            yield from _unknown_tags(value, f"{place}.{key}" if place else str(key))


def _check_spot(pool: GpuPool, path: Path) -> None:
    """A selector's value can depend on the attempt, its key cannot."""
    spot, on_demand = pool.spot.node_selector, pool.on_demand.node_selector
    if pool.spot.enabled and spot.keys() != on_demand.keys():
        raise ConfigError(
            f"The profile {_shown(path)} is wrong: pools.gpu.spot.nodeSelector ({', '.join(spot) or 'empty'}) and "
            f"pools.gpu.onDemand.nodeSelector ({', '.join(on_demand) or 'empty'}) must name the same labels, such as "
            "karpenter.sh/capacity-type with spot and on-demand."
        )


def _check_another_node(pool: GpuPool, path: Path) -> None:
    """Karpenter leaves a pod alone that names a host, also one to avoid (kubernetes-sigs/karpenter#3214)."""
    selectors = {**pool.node_selector, **pool.spot.node_selector, **pool.on_demand.node_selector}
    if pool.another_node and any(key.startswith("karpenter.sh/") for key in selectors):
        raise ConfigError(
            f"The profile {_shown(path)} is wrong: pools.gpu.anotherNode is true and pools.gpu selects nodes of "
            "Karpenter, which makes none for a pod that names hosts to avoid; a retry would wait forever. Remove "
            "anotherNode: a node that was taken away does not come back anyway."
        )

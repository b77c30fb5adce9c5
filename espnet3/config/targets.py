"""Whether what a config names by `_target_` and `data_src` exists and takes the arguments that it is given.

`checks` and `converted` call it before the first stage starts, so nothing here imports a target: a model's module
would load torch. Names are read from the source: our own (espnet3, egs3, the recipe's src and dataset), and those of a
library where it is installed. Where it is not, an extra of espnet3 must bring it into the image of the stage that needs
it, and what cannot be read is left to that stage (`instantiate`).
"""

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib import metadata
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from espnet3.config.artifact_types import as_targets
from espnet3.config.data_sources import dataset_module
from espnet3.config.findings import Fault, Key, nearest
from espnet3.config.kinds import TRUTH, Fitted, Leading, fit
from espnet3.config.parameter_kinds import kind_of_parameter
from espnet3.config.signatures import OPEN, Signature
from espnet3.config.target_sources import Sources, UnknownNameError

_PACKAGE = Path(__file__).resolve().parents[1]
FLAGS = ("_partial_", "_recursive_")
RESERVED = ("_target_", "_args_", *FLAGS, "_convert_")
"""Keys of a `_target_` node that are no arguments."""
_SPLITS = ("train", "valid", "test")


class TargetChecks:
    """The checks for one recipe.

    Args:
        recipe_dir: the folder of its `src` and `dataset`.
    """

    def __init__(self, recipe_dir: Path) -> None:
        self._sources = Sources(source_roots(recipe_dir))
        self._libraries: dict[str, Sources] = {}

    def check(self, node: Any, key: Key = ()) -> Iterator[Fault]:
        """Faults of every `_target_` in plain config values, at any depth."""
        if isinstance(node, dict):
            yield from self._check_node(node, key)
            for name, value in node.items():
                yield from self.check(value, (*key, str(name)))
        elif isinstance(node, list):
            for place, value in enumerate(node):
                yield from self.check(value, (*key, str(place)))

    def converted(self, node: Any) -> Any:
        """Plain config values in which arguments that mean what their target takes are of the type that it takes."""
        if isinstance(node, list):
            return [self.converted(value) for value in node]
        if not isinstance(node, dict):
            return node
        inside = {name: self.converted(value) for name, value in node.items()}
        return self._convert(inside, node["_target_"]) if "_target_" in node else inside

    def with_converted_datasets(self, config: dict[str, Any]) -> dict[str, Any]:
        """The same for the arguments of datasets and of their builder."""
        splits = config.get("dataset")
        if not isinstance(splits, dict):
            return config
        changed = {
            split: [self._convert_reference(each) for each in splits[split]]
            for split in _SPLITS
            if isinstance(splits.get(split), list)
        }
        config = {**config, "dataset": {**splits, **changed}}
        modules = {_module_of(reference) for _, reference in _references(config)}
        if len(modules) == 1 and isinstance(config.get("create_dataset"), dict):
            builder = f"{modules.pop()}.DatasetBuilder"
            config["create_dataset"] = self._convert(config["create_dataset"], builder)
        return config

    def _convert_reference(self, reference: Any) -> Any:
        if not isinstance(reference, dict) or not isinstance(reference.get("data_src_args"), dict):
            return reference
        arguments = self._convert(reference["data_src_args"], f"{_module_of(reference)}.Dataset")
        return {**reference, "data_src_args": arguments}

    def _convert(self, given: dict[str, Any], target: Any) -> dict[str, Any]:
        signature = self._resolve(target)
        if not isinstance(signature, Signature):
            return given
        fitted = self._fitted(given, target, signature)
        return given | {name: each.value for name, each in fitted.items() if not each.misfits}

    def _fitted(self, given: Mapping[str, Any], target: str, signature: Signature) -> dict[str, Fitted]:
        """Arguments of whose type something is known."""
        sources = self._sources_of(target)
        kinds = {name: kind_of_parameter(parameter, sources) for name, parameter in signature.parameters.items()}
        kinds |= {"_args_": Leading(tuple(kinds[name] for name in signature.positions)), **dict.fromkeys(FLAGS, TRUTH)}
        return {name: fit(kinds[name], value) for name, value in given.items() if name in kinds}

    def _sources_of(self, target: str) -> Sources:
        package = target.partition(".")[0]
        if self._sources.owns(target):
            return self._sources
        if package not in self._libraries:
            self._libraries[package] = Sources({package: _installed_at(package)}, are_ours=False)
        return self._libraries[package]

    def check_artifacts(self, config: Mapping[str, Any]) -> Iterator[Fault]:
        """Faults of the writers that `output_artifacts` names by their type."""
        for name, node in as_targets(config.get("output_artifacts")):
            yield from self._check_node(node, ("output_artifacts", name))

    def with_converted_artifacts(self, config: dict[str, Any]) -> dict[str, Any]:
        """The same values for those writers, of the types that they take."""
        nodes = {
            name: self._convert(node, node["_target_"]) for name, node in as_targets(config.get("output_artifacts"))
        }
        if not nodes:
            return config
        given = config["output_artifacts"]
        typed = {name: {each: nodes[name].get(each, given[name][each]) for each in given[name]} for name in nodes}
        return {**config, "output_artifacts": {**given, **typed}}

    def check_datasets(self, config: Mapping[str, Any]) -> Iterator[Fault]:
        """Faults of the dataset references in `dataset`, and of the builder's arguments in `create_dataset`."""
        yield from _check_names(config)
        seen: set[str] = set()
        for key, reference in _references(config):
            module = _module_of(reference)
            place = (*key, "data_src") if isinstance(reference.get("data_src"), str) else key
            signature = self._resolve(f"{module}.Dataset")
            if isinstance(signature, Signature):
                yield from self._arguments(
                    reference.get("data_src_args"), (*key, "data_src_args"), f"{module}.Dataset", signature
                )
            elif module not in seen:
                yield Fault(place, f"{_sentence(signature)} A dataset module exports Dataset and DatasetBuilder.")
            seen.add(module)
        if len(seen) == 1:
            target = f"{seen.pop()}.DatasetBuilder"
            signature = self._resolve(target)
            if isinstance(signature, Signature):
                yield from self._arguments(config.get("create_dataset"), ("create_dataset",), target, signature)

    def _check_node(self, node: dict[Any, Any], key: Key) -> Iterator[Fault]:
        for name in node:
            if re.fullmatch(r"_+\w+_*", str(name)) and name not in RESERVED and (meant := nearest(name, RESERVED)):
                yield Fault((*key, str(name)), f"did you mean {meant}?")
        if "_target_" not in node:
            return
        target = node["_target_"]
        signature = self._resolve(target)
        if isinstance(signature, Signature):
            yield from self._arguments(node, key, target, signature)
        else:
            yield Fault((*key, "_target_"), _sentence(signature))

    def _resolve(self, target: Any) -> Signature | str:
        """The signature, or why there is none."""
        if not isinstance(target, str) or not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)+", target):
            return f"{target!r} is not a dotted name of a class or function, such as package.module.Name"
        if self._sources.owns(target):
            try:
                return self._sources.signature(target)
            except UnknownNameError as error:
                return f"{target} does not resolve: {error}"
            except SyntaxError as error:
                return f"{target} does not resolve: {error.filename}:{error.lineno}: {error.msg}"
        return self._resolve_library(target)

    def _resolve_library(self, target: str) -> Signature | str:
        package = target.partition(".")[0]
        if not _is_installed(package) and package not in _declared():
            return f"{target} does not resolve: there is no package {package}{_meant(package)}, and no extra brings it"
        try:
            return self._sources_of(target).signature(target)
        except (UnknownNameError, SyntaxError, ValueError, OSError):
            # A library may make its names while it is imported, or be written for another Python.
            return OPEN

    def _arguments(self, given: Any, key: Key, target: str, signature: Signature) -> Iterator[Fault]:
        if not isinstance(given, dict):
            return
        yield from unknown_arguments(given, key, target, signature)
        for name, fitted in self._fitted(given, target, signature).items():
            for misfit in fitted.misfits:
                yield Fault((*key, name, *misfit.key), misfit.message)


def source_roots(recipe_dir: Path) -> dict[str, list[Path]]:
    """Where the source of our own packages, of a recipe's and of other recipes' dataset modules lies, by package."""
    recipe_dir = recipe_dir.resolve()
    spec = PathFinder.find_spec("egs3")
    egs3 = [Path(place).parent for place in (spec.submodule_search_locations or [])] if spec else []
    return {
        "espnet3": [_PACKAGE.parent],
        "egs3": [recipe_dir, *recipe_dir.parents[2:3], *egs3],
        "src": [recipe_dir],
        "dataset": [recipe_dir],
        "run": [recipe_dir],
    }


def _references(config: Mapping[str, Any]) -> Iterator[tuple[Key, Mapping[str, Any]]]:
    splits = config.get("dataset")
    if not isinstance(splits, dict):
        return
    for split in _SPLITS:
        entries = splits.get(split)
        for place, reference in enumerate(entries if isinstance(entries, list) else []):
            if isinstance(reference, dict):
                yield ("dataset", split, str(place)), reference


def _module_of(reference: Mapping[str, Any]) -> str:
    source = reference.get("data_src")
    return dataset_module(source) if isinstance(source, str) else "dataset"


def _check_names(config: Mapping[str, Any]) -> Iterator[Fault]:
    """Test sets are told apart by name: each needs one of its own."""
    tests = [(key, reference.get("name")) for key, reference in _references(config) if key[1] == "test"]
    names = [name for _, name in tests]
    for place, (key, name) in enumerate(tests):
        if name is None:
            yield Fault((*key, "name"), "is missing; a test set needs a name, which its results get.")
        elif name in names[:place]:
            yield Fault((*key, "name"), f"{name!r} names two test sets; give each a name of its own.")


def unknown_arguments(given: Mapping[Any, Any], key: Key, target: str, signature: Signature) -> Iterator[Fault]:
    """Arguments that a target does not take; `key` is where they are."""
    if signature.is_open:
        return
    for name in given:
        if name not in RESERVED and name not in signature.parameters:
            meant = nearest(str(name), signature.parameters, 0.6)
            known = ", ".join(signature.parameters) or "nothing"
            hint = f"did you mean {meant}?" if meant else f"it takes {known}."
            yield Fault((*key, str(name)), f"{target} takes no {name}; {hint}")


def _sentence(reason: str) -> str:
    return reason if reason.endswith("?") else f"{reason}."


def _is_installed(package: str) -> bool:
    return _spec_of(package) is not None


def _spec_of(package: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


def _installed_at(package: str) -> list[Path]:
    """The folders that hold an installed package; none of a compiled or built-in one."""
    spec = _spec_of(package)
    if spec is None or spec.origin in (None, "built-in", "frozen"):
        return []
    places = spec.submodule_search_locations or [str(Path(spec.origin or "").with_suffix(""))]
    return [Path(place).parent for place in places]


@lru_cache(maxsize=1)
def _declared() -> frozenset[str]:
    """Import names of what espnet3 and its extras depend on, where they are those of the distributions."""
    return frozenset(re.split(r"[^\w.-]", line, maxsplit=1)[0].replace("-", "_").lower() for line in _requirements())


def _requirements() -> Iterable[str]:
    checkout = _PACKAGE.parent / "pyproject.toml"
    if checkout.is_file():
        import tomllib

        project = tomllib.loads(checkout.read_text(encoding="utf-8")).get("project", {})
        extras = project.get("optional-dependencies", {})
        return [*project.get("dependencies", []), *(line for lines in extras.values() for line in lines)]
    try:
        return metadata.requires("espnet3") or []
    except metadata.PackageNotFoundError:
        return []


def _meant(package: str) -> str:
    meant = nearest(package, [*_declared(), "espnet3", "egs3", "src", "dataset"])
    return f" (did you mean {meant}?)" if meant else ""

"""One dataset builder of a config: which there are, their arguments, and what they still have to do.

create_dataset makes the jobs with `build_jobs` and runs each. Checking what they made is left to it.
"""

import ast
import inspect
import json
import logging
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from espnet3.components.data.dataset_builder import DatasetBuilder
from espnet3.components.data.dataset_reference import exported, import_dataset_module
from espnet3.config.arguments import taken_arguments
from espnet3.config.findings import nearest
from espnet3.config.sections import DataConfig, DatasetReference
from espnet3.config.slots import texts_in
from espnet3.errors import ConfigError, DataError
from espnet3.pipeline.contents import content_of
from espnet3.pipeline.fingerprint import forced
from espnet3.pipeline.settings import fingerprint_of
from espnet3.pipeline.syntax import syntax_digest
from espnet3.runtime.files import remove_leftovers, write_text
from espnet3.runtime.leases import check_lease

log = logging.getLogger(__name__)

RECORD_FILE = ".built.json"
"""Under a builder's directory: the fingerprint of the builder that began there, what was in the files that its
arguments name, and whether it came to its end."""

KEY = "training_config.create_dataset"
LONGEST_PATH = 4096


@dataclass(frozen=True)
class BuildJob:
    """A builder with its directory."""

    name: str
    """Of the dataset module."""
    builder: DatasetBuilder
    data_dir: Path
    fingerprint: str
    """Of the builder's code and arguments."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What is in the files that the arguments name, by path."""

    def run(self) -> bool:
        """Do what is not done yet; whether there was anything to build.

        Raises:
            DataError: the builder ended without having done its work.
        """
        if not self.builder.is_source_prepared():
            log.info("%s: preparing the source", self.name)
            remove_leftovers(self.data_dir)
            self.builder.prepare_source()
            self._insist(self.builder.is_source_prepared(), "prepare_source", "is_source_prepared")
        if self.builder.is_built() and self._is_current() and not forced():
            log.info("%s: is built already", self.name)
            return False
        log.info("%s: building", self.name)
        remove_leftovers(self.data_dir)
        self._record(finished=False)
        self.builder.build()
        self._insist(self.builder.is_built(), "build", "is_built")
        check_lease(self.data_dir)
        self._record(finished=True)
        return True

    def _is_current(self) -> bool:
        """Whether the manifests come from this builder and its files as they are now; true of those put there by hand.

        A file that is no longer there counts as unchanged: an archive may be removed when its corpus is built.
        """
        try:
            record = json.loads((self.data_dir / RECORD_FILE).read_text(encoding="utf-8"))
            files = record.pop("files", {})
            changed = [path for path, content in self.files.items() if files.get(path) != content]
        except FileNotFoundError:
            return True
        except (ValueError, AttributeError, TypeError):  # no JSON, or something else than what `_record` writes
            return False
        return not changed and bool(record == {"finished": True, "fingerprint": self.fingerprint})

    def _record(self, *, finished: bool) -> None:
        record = {"finished": finished, "fingerprint": self.fingerprint, "files": self.files}
        write_text(self.data_dir / RECORD_FILE, json.dumps(record, sort_keys=True) + "\n")

    def _insist(self, done: bool, step: str, question: str) -> None:
        if not done:
            raise DataError(
                f"{self.name}: {type(self.builder).__name__}.{step} ended, but {question} still says no "
                f"(data_dir {self.data_dir}). Correct the builder."
            )


def build_jobs(settings: DataConfig) -> list[BuildJob]:
    """A job for each dataset module that the config names.

    Where the config names one module, it has `data_dir` for itself. Where it names several, the recipe's own has
    `data_dir`, and each other one `data_dir/<corpus>_<system>`.

    Raises:
        ConfigError: there is no module, one has no DatasetBuilder, or the arguments under `create_dataset` do not fit.
    """
    modules = _modules(settings)
    makers = {source: exported(module, "DatasetBuilder", key) for source, (module, key) in modules.items()}
    _refuse_unknown(settings.create_dataset, makers.values())
    jobs = []
    for source, make in makers.items():
        data_dir = Path(settings.data_dir)
        if len(makers) > 1 and source is not None:
            data_dir /= source.replace("/", "_").replace(".", "_")
        arguments = _arguments(make, settings.create_dataset)
        code = fingerprint_of({"code": _code(modules[source][0]), "arguments": arguments})
        files = _contents(settings.create_dataset)
        jobs.append(BuildJob(source or "dataset", make(data_dir=data_dir, **arguments), data_dir, code, files))
    return jobs


def _modules(settings: DataConfig) -> dict[str | None, tuple[ModuleType, str]]:
    """Dataset modules with the key that names each first."""
    found: dict[str | None, tuple[ModuleType, str]] = {}
    for split in ("train", "valid", "test"):
        references: list[DatasetReference] = getattr(settings.dataset, split)
        for place, reference in enumerate(references):
            key = f"training_config.dataset.{split}.{place}"
            if reference.data_src not in found:
                module = import_dataset_module(reference.data_src, Path(settings.recipe_dir), key)
                found[reference.data_src] = module, key
    if not found:
        raise ConfigError("training_config.dataset names no dataset: list at least one under train, valid or test.")
    return found


def _parameters(make: Any) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(make).parameters
    return {name: parameter for name, parameter in parameters.items() if name != "data_dir"}


def _refuse_unknown(given: Mapping[str, Any], makers: Iterable[Any]) -> None:
    accepted = {name for make in makers for name in _parameters(make)}
    known = f"accepted are: {', '.join(sorted(accepted))}" if accepted else "the builder takes none"
    problems = [f"{KEY}.{key} is unknown{_meant(key, accepted)}; {known}." for key in given if key not in accepted]
    if problems:
        raise ConfigError("\n".join(problems))


def _meant(key: str, accepted: Iterable[str]) -> str:
    close = nearest(key, accepted)
    return f" (did you mean {close}?)" if close else ""


def _arguments(make: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The builder's arguments, converted to the types that it declares."""
    parameters = _parameters(make)
    given = taken_arguments(make, make.__name__, {name: given[name] for name in parameters if name in given}, KEY)
    hints = typing.get_type_hints(make.__init__)
    arguments: dict[str, Any] = {}
    problems = []
    for name, parameter in parameters.items():
        if name in given:
            try:
                arguments[name] = _converted(given[name], hints.get(name, Any))
            except ValidationError as error:
                problems.append(f"{KEY}.{name}: {error.errors()[0]['msg']} (given: {given[name]!r}).")
        elif parameter.default is parameter.empty:
            problems.append(f"{KEY}.{name} is missing; accepted are: {', '.join(sorted(parameters))}.")
    if problems:
        raise ConfigError("\n".join(problems))
    return arguments


def _converted(value: Any, kind: Any) -> Any:
    try:
        adapter = TypeAdapter(kind)
    except PydanticSchemaGenerationError:
        return value
    return adapter.validate_python(value)


def _contents(settings: Mapping[str, Any]) -> dict[str, str]:
    """What is in the files that the arguments name; folders are the builder's own business."""
    named = {text: Path(text) for text in texts_in(settings) if "\0" not in text and len(text) < LONGEST_PATH}
    found = {text: content_of(path) for text, path in named.items() if path.is_file()}
    return {text: content.digest for text, content in found.items() if content is not None}


def _code(module: ModuleType) -> dict[str, str]:
    """What the Python files of a dataset module do, whatever their comments."""
    place = Path(str(module.__file__))
    files = sorted(place.parent.rglob("*.py")) if place.name == "__init__.py" else [place]
    return {
        file.relative_to(place.parent).as_posix(): syntax_digest(ast.parse(file.read_bytes(), str(file)))
        for file in files
    }

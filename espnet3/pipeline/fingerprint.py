"""What a stage's products depend on, and one hash of it, the fingerprint.

`FingerprintInputs` are the settings that a stage reads, the contents of the files that these name or that its spec
lists, and the code that it runs (`code`). A setting that is the path of a file or folder counts by what is in it: a
moved one with equal contents is equal. Settings that change no byte of the products are left out. `done` compares them
with those of the last run; a running stage asks for its own (`stage_inputs`), so as never to mix products of two.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from omegaconf import DictConfig

from espnet3.config.slot_names import SLOTS
from espnet3.pipeline.code import Code
from espnet3.pipeline.code_walk import Digests
from espnet3.pipeline.contents import MODEL_CONFIG, content_of_tree
from espnet3.pipeline.folders import ProductPlaces
from espnet3.pipeline.paths import expand, found_by
from espnet3.pipeline.settings import (
    COSMETIC,
    FileInput,
    Settings,
    Slots,
    contents_named,
    fingerprint_of,
    leaves,
    log_dirs,
    names_of_files,
    plain_of,
    settings_of,
    without_files,
    without_keys,
)
from espnet3.pipeline.spec import StageSpec, System, slots_of, spec_of


@dataclass(frozen=True)
class FingerprintInputs:
    """What the products of a stage depend on."""

    settings: Settings = field(default_factory=dict)
    contents: Mapping[str, FileInput] = field(default_factory=dict)
    """By the setting that names the file, or by the template of the stage's spec."""
    code: Digests = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """sha256 of all of it; where files lie does not count."""
        digests = {role: each.digest for role, each in self.contents.items()}
        return fingerprint_of({"settings": self.settings, "contents": digests, "code": self.code})

    def to_json(self) -> dict[str, Any]:
        """Plain values, as a record keeps them."""
        return {
            "settings": self.settings,
            "contents": {role: asdict(each) for role, each in self.contents.items()},
            "code": self.code,
        }

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Back from `to_json`.

        Raises:
            TypeError: it is something else.
            KeyError: something is missing.
        """
        contents = {role: FileInput(**each) for role, each in plain["contents"].items()}
        return cls(dict(plain["settings"]), contents, dict(plain["code"]))


@dataclass(frozen=True)
class StageRun:
    """What the running stage runs under."""

    inputs: FingerprintInputs = field(default_factory=FingerprintInputs)
    """As they were when it was decided that the stage runs."""
    forced: bool = False
    now: Callable[[], FingerprintInputs] | None = None
    """The inputs as they are at that moment: a stage may make one of them itself (`StageSpec.can_make`)."""

    @property
    def fingerprint(self) -> str:
        """Of the inputs."""
        return self.inputs.fingerprint


_running: ContextVar[StageRun | None] = ContextVar("stage_run", default=None)


@contextmanager
def running(run: StageRun) -> Iterator[None]:
    """Let the stage inside the block see its fingerprint and whether it is forced."""
    before = _running.set(run)
    try:
        yield
    finally:
        _running.reset(before)


def current_run() -> StageRun | None:
    """What the running stage runs under; None where a System is used by hand."""
    return _running.get()


def forced() -> bool:
    """Whether the running stage is to start over whatever it finds."""
    run = _running.get()
    return run is not None and run.forced


def stage_inputs(config: DictConfig | Mapping[str, Any], without: Sequence[str] = ()) -> FingerprintInputs:
    """What the running stage depends on now; where a System is used by hand, its config and the files that it names.

    Args:
        config: the stage's slot.
        without: keys of the slot that say where products are, and not what they are.
    """
    run = _running.get()
    if run is None:
        return config_inputs(config, without)
    return run.now() if run.now else run.inputs


def config_inputs(config: DictConfig | Mapping[str, Any], without: Sequence[str] = ()) -> FingerprintInputs:
    """A config and what is in the files that it names; `without` as in `stage_inputs`."""
    plain = plain_of(config)
    texts = names_of_files(leaves(plain))
    places = ProductPlaces(log_dirs=[Path(text) for key, text in texts if key.endswith("_dir")])
    settings = leaves(without_keys(plain, (*COSMETIC, *without)))
    contents = contents_named(settings, places, relative_to=_experiments(settings))
    return FingerprintInputs(without_files(settings, contents), contents)


def inputs_of(system: System, stage: str, code: Code, earlier: FingerprintInputs | None = None) -> FingerprintInputs:
    """What a stage depends on, now.

    Args:
        system: with its configs, resolved.
        stage: name of the stage.
        code: the recipe's code.
        earlier: what the stage depended on when it last ran: a file of then that is not there any more counts as
            unchanged, because an archive may be removed when its corpus is built.
    """
    spec, slots = spec_of(system, stage), slots_of(system)
    settings = settings_of(spec, slots)
    inputs = _with_contents(settings, spec, slots, earlier)
    digests = code.of_stage(type(system), stage, settings, _targets_of_models(inputs.contents))
    # As a record gives it back: a value that JSON lacks must not differ from itself.
    return FingerprintInputs(json.loads(json.dumps(inputs.settings, default=str)), inputs.contents, digests)


def _targets_of_models(contents: Mapping[str, FileInput]) -> Iterator[str]:
    """What the configs of trained models name: a stage that reads a model builds it."""
    for each in contents.values():
        if Path(each.path).name == MODEL_CONFIG:
            with suppress(OSError, UnicodeDecodeError):
                yield from re.findall(r"_target_:\s*['\"]?([\w.]+)", Path(each.path).read_text(encoding="utf-8"))


def _with_contents(
    settings: Settings, spec: StageSpec, slots: Slots, earlier: FingerprintInputs | None
) -> FingerprintInputs:
    """Put contents in the place of the settings that name files, and add those of the stage's inputs."""
    places = product_places(spec, slots)
    contents = contents_named(settings, places, relative_to=_experiments(settings))
    named = {each.path for each in contents.values()}
    for template in spec.inputs:
        for role, path in found_by(template, slots):
            content = content_of_tree(path) if path.is_file() or "*" in template else None
            if content is not None and str(path) not in named:
                contents[role] = FileInput(str(path), content.digest, content.size)
    contents |= _gone(contents, earlier, settings, places)
    return FingerprintInputs(without_files(settings, contents), contents)


def _experiments(settings: Settings) -> list[Path]:
    return [Path(value) for key, value in settings.items() if key.endswith("exp_dir") and isinstance(value, str)]


def product_places(spec: StageSpec, slots: Slots) -> ProductPlaces:
    """Where a stage itself writes, and where all stages do: what is there is no input by being named."""
    log_dir = (f"{{{spec.log_dir}}}",) if spec.log_dir else ()
    return ProductPlaces(expand((*spec.outputs, *spec.folders, *log_dir), slots), log_dirs(slots))


def _gone(
    found: Mapping[str, FileInput], earlier: FingerprintInputs | None, settings: Settings, places: ProductPlaces
) -> dict[str, FileInput]:
    """Files and whole folders of the last run that are still named but not there any more."""
    named = dict(names_of_files(settings))
    there = {role.partition("/")[0] for role in found}
    before = {role: (role.partition("/")[0], each) for role, each in (earlier.contents if earlier else {}).items()}
    return {
        role: each
        for role, (key, each) in before.items()
        if key in named
        and key not in there
        and Path(named[key]).name in Path(each.path).parts
        and (key == role or not places.hold(Path(named[key]), key))
    }


def short_key(key: str) -> str:
    """A dotted key without its slot."""
    slot, _, inside = key.partition(".")
    return inside if slot in SLOTS else key

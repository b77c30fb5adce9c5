"""What would stop a run, found before its first stage starts: all of it at once.

`cli.main` prints the findings and does not start. Here is what concerns stages: their names, their slots, what
they need of earlier ones, and the directories that they write to. For the configs themselves, see `checks`.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from omegaconf import DictConfig

from espnet3.config.findings import Finding
from espnet3.pipeline.paths import expand, fixed_part, makers, outputs_of
from espnet3.pipeline.run import find_stage_problems, unknown_stage
from espnet3.pipeline.spec import System, slots_of, spec_of


def check_names(system_cls: type[System], stages: Sequence[str], known: Sequence[str]) -> list[Finding]:
    """Names that neither the recipe's list nor the System declares, or that have no runnable method."""
    known = [*known, *(stage for stage in system_cls.stage_specs if stage not in known)]
    unknown = [Finding("--stages", unknown_stage(stage, known)) for stage in stages if stage not in known]
    listed = [stage for stage in stages if stage in known]
    wrong = [Finding("DEFAULT_STAGES", line) for stage in listed for line in find_stage_problems(system_cls, stage)]
    return unknown + wrong


def check_needs(system_cls: type[System], stages: Sequence[str], files: Mapping[str, Path | None]) -> list[Finding]:
    """Config slots that a stage needs and that have no file."""
    lacking = [(stage, slot) for stage in stages for slot in spec_of(system_cls, stage).slots if files[slot] is None]
    return [
        Finding(stage, f"needs {slot}: write conf/{slot.removesuffix('_config')}.yaml or give --{slot} FILE")
        for stage, slot in lacking
    ]


def check_slots_given(
    system_cls: type[System], stages: Sequence[str], slots: Mapping[str, DictConfig]
) -> list[Finding]:
    """Config slots that a stage needs and that a run config lacks."""
    lacking = [(stage, slot) for stage in stages for slot in spec_of(system_cls, stage).slots if slot not in slots]
    return [
        Finding(stage, f"needs {slot}, which the run config lacks: write it again with that config")
        for stage, slot in lacking
    ]


def check_inputs(system: System, stages: Sequence[str]) -> list[Finding]:
    """Inputs that are not there and that no earlier stage of the run makes."""
    outputs = outputs_of(system)
    pairs = [(stage, stages[:place]) for place, stage in enumerate(stages)]
    return [finding for stage, earlier in pairs for finding in _check_inputs(system, stage, earlier, outputs)]


def check_directories(system: System, stages: Sequence[str]) -> list[Finding]:
    """Log directories, which are output directories, too, that cannot be written."""
    directories = dict.fromkeys(system.log_directory(stage) for stage in stages)
    return [Finding(str(directory), why) for directory in directories if (why := _unwritable(directory))]


def _check_inputs(
    system: System, stage: str, earlier: Sequence[str], outputs: Mapping[str, list[Path]]
) -> Iterator[Finding]:
    if any(each not in system.stage_specs for each in earlier):
        return  # A stage that declares nothing may make anything.
    spec, slots = spec_of(system, stage), slots_of(system)
    own = expand(spec.can_make, slots)
    for path in expand(map(fixed_part, spec.inputs), slots):
        able = [maker for maker in makers(outputs, path) if maker != stage]
        if path in own or path.exists() or set(able) & set(earlier):
            continue
        cure = f"run {able[0]} first, which makes it" if able else "correct the path in the config"
        yield Finding(stage, f"needs {path}, which does not exist; {cure}")


def _unwritable(directory: Path) -> str | None:
    existing = next(place for place in (directory.absolute(), *directory.absolute().parents) if place.exists())
    if not existing.is_dir():
        return f"cannot be made, because {existing} is a file; move it away or choose another directory"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"cannot be written (no permission in {existing}); change its permissions or choose another directory"
    return None

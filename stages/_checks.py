"""What would stop stages of a run, found before the first of them starts: all of it at once.

`plan` asks for all stages that are to run, the entrypoint for its own, so that a stage which is run alone is checked as
well. The checks themselves are the library's; here is only which of them a container makes.
"""

from collections.abc import Sequence
from pathlib import Path

from espnet3.config.checks import check_slots
from espnet3.config.findings import Finding
from espnet3.errors import ConfigError, DataError
from espnet3.pipeline.preflight import check_directories, check_inputs
from espnet3.pipeline.spec import spec_of
from stages import _volume
from stages._run import Run


def refuse_faults(run: Run, stages: Sequence[str], to_run: Sequence[str], faults: Sequence[Finding] = ()) -> None:
    """Check configs, directories, volumes and inputs.

    Args:
        run: the opened run.
        stages: those whose configs must be right.
        to_run: those of them that are not done.
        faults: what was found already.

    Raises:
        ConfigError: names every fault of the configs and the volumes, and the missing inputs, too.
        DataError: only inputs are missing; names them.
    """
    findings = [*faults, *_find_missing_slots(run, stages)]
    findings += check_slots(run.system_cls, run.slots, stages, run.recipe_dir)
    findings += [*check_directories(run.system, to_run), *_find_broken_volumes(run, to_run)]
    inputs = check_inputs(run.system, to_run)
    if findings or inputs:
        kind = ConfigError if findings else DataError
        raise kind("\n".join(["nothing was started, because", *(f"  {each}" for each in [*findings, *inputs])]))


def _find_missing_slots(run: Run, stages: Sequence[str]) -> list[Finding]:
    lacking = [
        (stage, slot) for stage in stages for slot in spec_of(run.system_cls, stage).slots if not run.slots[slot]
    ]
    return [
        Finding(stage, f"needs {slot}, which the run config lacks: write it again with that config")
        for stage, slot in lacking
    ]


def _find_broken_volumes(run: Run, stages: Sequence[str]) -> list[Finding]:
    """Try the volumes that the stages write to, each once; directories that permissions close are found before."""
    directories = [_volume.nearest(path) for path in (Path(), *map(run.system.log_directory, stages))]
    volumes = {directory.stat().st_dev: directory for directory in reversed(directories) if directory.is_dir()}
    return [Finding(str(place.absolute()), why) for place in volumes.values() for why in _volume.find_faults(place)]

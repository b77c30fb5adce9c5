"""What only a container checks before a stage starts: whether the volumes can be used that it writes to.

`plan` asks for all stages that are to run, the entrypoint for its own, so that a stage which is run alone is checked as
well. All other checks are those of run.py: see `espnet3.recipe.prepare`.
"""

from collections.abc import Sequence
from pathlib import Path

from espnet3.config.findings import Finding
from espnet3.pipeline.spec import System
from stages import _volume


def find_broken_volumes(system: System, stages: Sequence[str]) -> list[Finding]:
    """Try the volumes that the stages write to, each once; directories that permissions close are found before."""
    directories = [_volume.nearest(path) for path in (Path(), *map(system.log_directory, stages))]
    volumes = {directory.stat().st_dev: directory for directory in reversed(directories) if directory.is_dir()}
    return [Finding(str(place.absolute()), why) for place in volumes.values() for why in _volume.find_faults(place)]

"""`python -m stages plan --config FILE`: puts a run onto the volume, checks it, and says which stages are to run.

The first step of a workflow. It writes `.runs/<digest>/run.yaml` and `recipe/` for the stages' containers, and for each
stage a file that says `run` or `skip`, so that no node starts for a stage that is done. It loads no torch.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from espnet3.config.findings import Finding
from espnet3.pipeline.plan import plan_run, show_plan
from espnet3.pipeline.run import find_stage_problems, unknown_stage
from espnet3.runtime.files import write_text
from stages import _environment
from stages._checks import find_broken_volumes
from stages._run import OpenedRun, opened


def plan(path: Path) -> dict[str, str]:
    """Write the plan of a run config; {stage: `run` or `skip`}.

    Raises:
        ConfigError: names all that is wrong with the config, the environment and the volume.
        DataError: inputs are missing that no stage of the run makes.
    """
    with opened(path) as opened_run:
        config = opened_run.config
        # First, so that the exit handler of a run that is refused finds it, too.
        write_text(opened_run.folder / "run.yaml", config.to_yaml())
        chosen = _chosen("ESPNET3_STAGES", config.stages, default=config.stages)
        forced = _chosen("ESPNET3_FORCE", config.stages, default=())
        faults = _find_wrong_names(opened_run)
        runnable = [each for each in config.stages if not find_stage_problems(opened_run.system_cls, each)]
        run = opened_run.of([each for each in runnable if each in chosen])
        planned = plan_run(run.system, run.code, run.stages, forced)
        run.refuse_faults(planned, [*faults, *find_broken_volumes(run.system, planned.to_run)])
        show_plan(planned)
        for line in planned.warnings:
            sys.stdout.write(f"{line}\n")
        return _write(opened_run, planned.to_run)


def _chosen(variable: str, stages: Sequence[str], default: Collection[str]) -> Collection[str]:
    names = _environment.names_in(variable) or default
    return stages if "all" in names else names


def _find_wrong_names(run: OpenedRun) -> list[Finding]:
    stages = run.config.stages
    faults = [
        Finding(variable, unknown_stage(name, stages))
        for variable in ("ESPNET3_STAGES", "ESPNET3_FORCE")
        for name in _environment.names_in(variable)
        if name not in (*stages, "all")
    ]
    return faults + [
        Finding("the run config", line) for each in stages for line in find_stage_problems(run.system_cls, each)
    ]


def _write(run: OpenedRun, to_run: Collection[str]) -> dict[str, str]:
    what = {stage: "run" if stage in to_run else "skip" for stage in run.config.stages}
    directory = _environment.path_in("ESPNET3_PLAN_DIR") or run.folder / "plan"
    for stage, word in what.items():
        write_text(directory / stage, word)
    return what

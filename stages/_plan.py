"""`python -m stages plan --config FILE`: puts a run onto the volume, checks it, and says which stages are to run.

The first step of a workflow. It writes `.runs/<digest>/run.yaml` and `recipe/` for the stages' containers, and for each
stage a file that says `run` or `skip`, so that no node starts for a stage that is done. It loads no torch.
"""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from espnet3.config.findings import Finding
from espnet3.pipeline.plan import make_plan, show_plan
from espnet3.pipeline.run import find_stage_problems, unknown_stage
from espnet3.recipe.cli import find_warnings
from espnet3.runtime.files import write_text
from stages import _environment
from stages._checks import refuse_faults
from stages._run import Run, opened


def plan(path: Path) -> dict[str, str]:
    """Write the plan of a run config; {stage: `run` or `skip`}.

    Raises:
        ConfigError: names all that is wrong with the config, the environment and the volume.
        DataError: inputs are missing that no stage of the run makes.
    """
    with opened(path) as run:
        # First, so that the exit handler of a run that is refused finds it, too.
        write_text(run.folder / "run.yaml", run.config.to_yaml())
        chosen = _chosen("ESPNET3_STAGES", run.config.stages, default=run.config.stages)
        forced = _chosen("ESPNET3_FORCE", run.config.stages, default=())
        faults = _find_wrong_names(run)
        stages = [
            stage for stage in run.config.stages if stage in chosen and not find_stage_problems(run.system, stage)
        ]
        decisions = run.decide(stages, forced)
        refuse_faults(run, stages, [decision.stage for decision in decisions if not decision.done], faults)
        show_plan(make_plan(run.system, decisions))
        for line in find_warnings(run.system, stages, run.digests):
            sys.stdout.write(f"{line}\n")
        to_run = {decision.stage for decision in decisions if not decision.done}
        return _write(run, to_run)


def _chosen(variable: str, stages: Sequence[str], default: Collection[str]) -> Collection[str]:
    names = _environment.names_in(variable) or default
    return stages if "all" in names else names


def _find_wrong_names(run: Run) -> list[Finding]:
    stages = run.config.stages
    faults = [
        Finding(variable, unknown_stage(name, stages))
        for variable in ("ESPNET3_STAGES", "ESPNET3_FORCE")
        for name in _environment.names_in(variable)
        if name not in (*stages, "all")
    ]
    return faults + [
        Finding("the run config", line) for each in stages for line in find_stage_problems(run.system, each)
    ]


def _write(run: Run, to_run: Collection[str]) -> dict[str, str]:
    what = {stage: "run" if stage in to_run else "skip" for stage in run.config.stages}
    directory = _environment.path_in("ESPNET3_PLAN_DIR") or run.folder / "plan"
    for stage, word in what.items():
        write_text(directory / stage, word)
    return what

"""run_stages: calls a System's methods by name, in order, each with its own copies of the configs and its own log.

Users' own scripts call it; it always runs what it is given. A recipe's run.py runs a plan with it (`run_plan`), a
container entrypoint one decision (`run_decision`): these know what is done already, and leave a record. It knows no
stage by name.
"""

import copy
import inspect
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.config.findings import nearest
from espnet3.config.slot_names import SLOTS
from espnet3.errors import ConfigError, Espnet3Error, Stopped
from espnet3.pipeline.code import Code
from espnet3.pipeline.done import recording
from espnet3.pipeline.fingerprint import current_run, running
from espnet3.pipeline.plan import Decision, Plan, decide
from espnet3.pipeline.shard import Shard, current_shard, sharding
from espnet3.pipeline.spec import System, spec_of
from espnet3.runtime.failures import failure_of
from espnet3.runtime.logs import StageLog, logging_to, rank

log = logging.getLogger(__name__)


def run_stages(system: System, stages_to_run: Sequence[str]) -> None:
    """Run the named methods of `system`, in the order given.

    What a stage raises reaches the caller as it is.

    Raises:
        ConfigError: before anything runs: a name is not a stage, or a log directory's reference does not resolve.
    """
    if isinstance(stages_to_run, str):
        raise ConfigError(f"stages_to_run is a list of stage names, not a string: write [{stages_to_run!r}].")
    if problems := [problem for stage in stages_to_run for problem in find_stage_problems(system, stage)]:
        raise ConfigError("\n".join(problems))
    directories = [system.log_directory(stage) for stage in stages_to_run]
    for stage, directory in zip(stages_to_run, directories, strict=True):
        with _own_configs(system):
            _run_stage(system, stage, directory)


@dataclass(frozen=True)
class StageResult:
    """What came of a stage."""

    stage: str
    ran: bool
    """Whether it ran; otherwise it was done already."""
    seconds: float = 0.0


@dataclass(frozen=True)
class Results:
    """What came of a run whose stages all ended well."""

    system: System
    stages: tuple[StageResult, ...]


def run_plan(plan: Plan, code: Code, say: Callable[[str], None]) -> Results:
    """Run the stages of a plan that are not done; `say` gets a line for each of the others.

    A stage is decided anew where an earlier one has run: what came out may be what was there before.
    """
    results: list[StageResult] = []
    for planned in plan.decisions:
        decision = planned
        if any(result.ran for result in results):
            decision = decide(plan.system, code, planned.stage, planned.run.forced)
        if decision.done:
            say(f"{decision.stage}: already done; --force does it again")
            results.append(StageResult(decision.stage, ran=False))
        else:
            start = time.monotonic()
            run_decision(plan.system, decision)
            results.append(StageResult(decision.stage, ran=True, seconds=time.monotonic() - start))
    return Results(plan.system, tuple(results))


def run_decision(system: System, decision: Decision, shard: Shard | None = None) -> None:
    """Run a stage that is to run, or a shard of it, and leave its record."""
    with running(decision.run), sharding(shard):
        run_stages(system, [decision.stage])


def find_stage_problems(system: System | type[System], stage: str) -> list[str]:
    """Why `stage` cannot be run: no such method, or one that wants arguments; empty when it can."""
    system_cls = system if isinstance(system, type) else type(system)
    fn = None if stage.startswith("_") else getattr(system, stage, None)
    if isinstance(inspect.getattr_static(system_cls, stage, None), property) or not callable(fn):
        return [unknown_stage(stage, stages_of(system_cls))]
    if wanted := _required_arguments(fn, unbound=isinstance(system, type)):
        return [
            f"stage {stage!r} of {system_cls.__name__} wants arguments ({', '.join(wanted)}): a stage is a method "
            "without arguments; keep its settings in the config."
        ]
    return []


def unknown_stage(stage: str, stages: Sequence[str]) -> str:
    """The message for a stage that there is not, with the nearest name and the list."""
    near = nearest(stage, stages, likeness=0.6)
    hint = f"did you mean {near}? " if near else ""
    return f"unknown stage {stage!r}: {hint}stages: {', '.join(stages)}"


def stages_of(system_cls: type[System]) -> list[str]:
    """The stages that a System class has: those that it declares, then further methods without arguments."""
    public = [name for name, fn in inspect.getmembers(system_cls, inspect.isfunction) if not name.startswith("_")]
    runnable = [name for name in public if not _required_arguments(getattr(system_cls, name), unbound=True)]
    declared = [stage for stage in system_cls.stage_specs if stage in runnable]
    return [*declared, *(stage for stage in runnable if stage not in declared)]


def _required_arguments(fn: Any, unbound: bool) -> list[str]:
    parameters = list(inspect.signature(fn).parameters.values())[1 if unbound else 0 :]
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [each.name for each in parameters if each.default is each.empty and each.kind not in optional]


def _run_stage(system: System, stage: str, directory: Path) -> None:
    with logging_to(_stage_log(system, stage, directory)), _recording(system, stage):
        log.info("START %s", stage)
        start = time.monotonic()
        try:
            fn = getattr(system, stage)
            fn()
        except (Stopped, KeyboardInterrupt) as error:
            log.warning("STOPPED %s after %.1f s: %s", stage, time.monotonic() - start, str(error) or "interrupted")
            raise
        except Espnet3Error as error:
            log.error("FAILED %s after %.1f s: %s: %s", stage, time.monotonic() - start, type(error).__name__, error)
            raise
        except BaseException as error:
            failure, seconds = failure_of(error), time.monotonic() - start
            if failure.foreseen:
                log.error("FAILED %s after %.1f s: %s", stage, seconds, failure.text.strip())
            else:
                log.exception("FAILED %s after %.1f s", stage, seconds)
            raise
        log.info("DONE %s in %.1f s", stage, time.monotonic() - start)


def _recording(system: System, stage: str) -> AbstractContextManager[None]:
    """Of several ranks the first keeps the record; of several shards, the one that merges them."""
    if rank() != 0:
        return nullcontext()
    shard = current_shard()
    return recording(system, stage, current_run(), is_whole=shard is None or shard.is_merge)


def _stage_log(system: System, stage: str, directory: Path) -> StageLog:
    slots = spec_of(system, stage).slots or SLOTS
    configs = {slot: config for slot in slots if (config := getattr(system, slot)) is not None}
    training = system.training_config
    per_rank = training is not None and OmegaConf.select(training, "stage_log_mode") == "per_rank"
    shard = current_shard()
    # Shards run side by side: each has a log of its own, the stage's is that of the merge.
    name = f"{stage}_shard{shard.index}" if shard and not shard.is_merge else stage
    return StageLog(name, directory, configs, per_rank)


@contextmanager
def _own_configs(system: System) -> Iterator[None]:
    """Give the stage copies: what it does to a config reaches no other stage."""
    configs = {name: value for name, value in vars(system).items() if name in SLOTS or isinstance(value, DictConfig)}
    for name, config in configs.items():
        setattr(system, name, copy.deepcopy(config))
    try:
        yield
    finally:
        for name, config in configs.items():
            setattr(system, name, config)

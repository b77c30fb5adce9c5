"""The plan of a run: for each stage whether it runs, and because of what; and how a plan looks.

run.py and the workflow's plan step make it (`plan_run`) and show it (`show_plan`); nothing is run, and nothing heavy is
imported. A stage is done when it depends on what it depended on and what it wrote is as it was (`done`). One that
uses what an earlier stage of the plan will make is decided when that has run (`decide`): where the same bytes come out,
nothing after them runs.
"""

import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from espnet3.pipeline.code import Code
from espnet3.pipeline.done import NOT_FINISHED, read_record, reasons_to_run
from espnet3.pipeline.fingerprint import StageRun, inputs_of, product_places
from espnet3.pipeline.folders import find_too_large
from espnet3.pipeline.paths import expand
from espnet3.pipeline.prune import find_backups
from espnet3.pipeline.settings import Settings, folders_named
from espnet3.pipeline.spec import ProductCheck, System, slots_of, spec_of

MOST_REASONS = 4
MOST_FILES = 10
"""Of what a stage reads, or writes: recordings of noise can be thousands."""


@dataclass(frozen=True)
class Decision:
    """What is to happen to a stage."""

    stage: str
    run: StageRun
    reasons: tuple[str, ...] = ()
    """Why it runs."""
    waits_for: tuple[str, ...] = ()
    """Stages of the plan that run before it: it runs if they leave other files than those that it has read."""
    finished: str | None = None
    """When it was last finished (UTC, ISO 8601)."""
    backup: Path | None = None
    """Where what it made then goes, where it is not replaced."""
    notes: tuple[str, ...] = ()
    """What was not looked at."""

    @property
    def done(self) -> bool:
        """Whether there is nothing to do, whatever comes before it."""
        return not self.reasons and not self.waits_for


@dataclass(frozen=True)
class Plan:
    """What is to happen to each stage of a run, in order."""

    system: System
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()
    """What was not looked at, and what should be known of the stages that these build on but that are not asked for."""

    @property
    def to_run(self) -> list[str]:
        """The stages that run, or may."""
        return [decision.stage for decision in self.decisions if not decision.done]


def plan_run(system: System, code: Code, stages: Sequence[str], forced: Collection[str] = ()) -> Plan:
    """What is to happen to each of `stages`, in this order.

    Args:
        system: with its configs, resolved.
        code: the recipe's code.
        stages: those that were asked for.
        forced: those that run in any case.
    """
    decisions: list[Decision] = []
    for stage in stages:
        running = [earlier.stage for earlier in decisions if not earlier.done]
        decisions.append(decide(system, code, stage, stage in forced, running))
    notes = dict.fromkeys(note for decision in decisions for note in decision.notes)
    return Plan(system, tuple(decisions), (*notes, *_warnings(system, code, stages)))


def decide(system: System, code: Code, stage: str, forced: bool = False, running: Collection[str] = ()) -> Decision:
    """What is to happen to one stage.

    Args:
        system: with its configs, resolved.
        code: the recipe's code.
        stage: name of the stage.
        forced: whether it runs in any case.
        running: stages that will run before it.
    """
    record = read_record(system, stage)
    now = partial(inputs_of, system, stage, code, record.inputs if record else None)
    run = StageRun(now(), forced, now)
    check = system.check_products(stage) if record and not forced else ProductCheck()
    reasons = ("--force",) if forced else (*reasons_to_run(system, stage, record, run.inputs), *check.changed)
    waits_for = tuple(earlier for earlier in spec_of(system, stage).after if earlier in running)
    anew = record is not None and (forced or record.inputs.fingerprint != run.fingerprint)
    backup = system.next_backup(stage) if anew else None
    notes = (*check.notes, *_too_large_folders(system, stage, run.inputs.settings))
    return Decision(stage, run, reasons, waits_for, record.finished if record else None, backup, notes)


def show_plan(plan: Plan) -> None:
    """Write the plan to stdout: a table on a terminal, plain lines elsewhere."""
    if sys.stdout.isatty():
        _show_table(plan)
    else:
        sys.stdout.write("\n".join(_as_text(plan.system, decision) for decision in plan.decisions) + "\n")


def explain(decision: Decision) -> str:
    """`done` or `to do`, and because of what."""
    if decision.done:
        return f"done {(decision.finished or '')[:19].replace('T', ' ')} UTC"
    reasons = list(decision.reasons[:MOST_REASONS])
    if more := len(decision.reasons) - len(reasons):
        reasons.append(f"{more} more")
    if decision.waits_for and not reasons:
        return f"runs if other files come out of {', '.join(decision.waits_for)}"
    if decision.backup is not None:
        reasons.append(f"starts anew, the finished one is kept in {decision.backup}")
    return f"to do: {'; '.join(reasons)}"


def _warnings(system: System, code: Code, stages: Sequence[str]) -> Iterator[str]:
    """What is wrong with the stages that these build on but that are not asked for."""
    names = dict.fromkeys(name for stage in stages for name in spec_of(system, stage).after)
    for stage in (name for name in names if name not in stages):
        decision = decide(system, code, stage)
        if decision.finished is not None and decision.reasons:
            changes = "; ".join(decision.reasons[:3])
            yield f"{stage} is not asked for, but has changed since it ran: {changes}"
        elif decision.reasons == (NOT_FINISHED,) and _left_something(system, stage):
            yield (
                f"{stage} is not asked for, but was started here and has not finished: its files may be of several runs"
            )


def _too_large_folders(system: System, stage: str, left: Settings) -> Iterator[str]:
    """Of the settings that were left as they are, because no contents took their place."""
    folders = folders_named(left)
    if folders:
        places = product_places(spec_of(system, stage), slots_of(system))
        yield from (f"{stage}: {folder}" for folder in find_too_large(folders, places))


def _left_something(system: System, stage: str) -> bool:
    return any(_exists(path) for path in expand(spec_of(system, stage).outputs, slots_of(system)))


def _as_text(system: System, decision: Decision) -> str:
    spec, slots = spec_of(system, decision.stage), slots_of(system)
    lines = [
        f"{decision.stage}: {explain(decision)}",
        f"  configs  {', '.join(spec.slots) or 'none'}",
        f"  log      {system.log_directory(decision.stage) / decision.stage}.log",
        *(f"  reads    {file}" for file in _some(expand(spec.inputs, slots), _with_state)),
        *(f"  writes   {file}" for file in _some(expand((*spec.folders, *spec.outputs), slots), _with_state)),
        *(f"  backup   {backup}" for backup in find_backups(system, [decision.stage])),
    ]
    return "\n".join(lines)


def _some(paths: Sequence[Path], shown: Callable[[Path], str]) -> list[str]:
    """Each of the first paths as it is to be shown, and how many more there are."""
    more = len(paths) - MOST_FILES
    return [*map(shown, paths[:MOST_FILES]), *([f"… {more} more"] if more > 0 else [])]


def _with_state(path: Path) -> str:
    return f"{path} ({'exists' if _exists(path) else 'missing'})"


def _exists(path: Path) -> bool:
    return any(path.parent.glob(path.name)) if "*" in path.name else path.exists()


def _show_table(plan: Plan) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("stage", "plan", "files", show_lines=True, caption="✓ exists   · missing", caption_justify="left")
    table.columns[0].no_wrap = True
    table.columns[1].ratio = 1
    table.columns[2].overflow = "fold"
    slots = slots_of(plan.system)
    for decision in plan.decisions:
        spec = spec_of(plan.system, decision.stage)
        colour = "green" if decision.done else "yellow"
        stage = "\n".join([f"[bold]{decision.stage}[/bold]", *(f"[dim]{slot}[/dim]" for slot in spec.slots)])
        files = _marked("reads ", expand(spec.inputs, slots))
        files += _marked("writes", expand((*spec.folders, *spec.outputs), slots))
        files += [f"  backup {backup}" for backup in find_backups(plan.system, [decision.stage])]
        files.append(f"  log    {plan.system.log_directory(decision.stage) / decision.stage}.log")
        table.add_row(stage, f"[{colour}]{escape(explain(decision))}[/{colour}]", escape("\n".join(files)))
    Console().print(table)


def _marked(verb: str, paths: Sequence[Path]) -> list[str]:
    return _some(paths, lambda path: f"{'✓' if _exists(path) else '·'} {verb} {path}")

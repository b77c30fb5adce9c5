"""The plan of a run: for each stage what it reads, where it writes and logs, what exists, and whether and why it runs.

`run.py --dry_run` shows it (`show_plan`); nothing is run, and nothing heavy is imported. Whether a stage is done,
`done` decides.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from espnet3.pipeline.done import Decision
from espnet3.pipeline.paths import expand
from espnet3.pipeline.spec import System, slots_of, spec_of

MOST_REASONS = 4
MOST_FILES = 10
"""Of what a stage reads, or writes: recordings of noise can be thousands."""


@dataclass(frozen=True)
class Step:
    """One stage of the plan."""

    stage: str
    slots: tuple[str, ...]
    log_directory: Path
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    decision: Decision


def make_plan(system: System, decisions: Sequence[Decision]) -> list[Step]:
    """The steps of a run, in order."""
    return [_step(system, decision) for decision in decisions]


def show_plan(steps: Sequence[Step]) -> None:
    """Write the plan to stdout: a table on a terminal, plain lines elsewhere."""
    if sys.stdout.isatty():
        _show_table(steps)
    else:
        sys.stdout.write("\n".join(_as_text(step) for step in steps) + "\n")


def explain(decision: Decision) -> str:
    """`done` or `to do`, and because of what."""
    if decision.done:
        return f"done {(decision.finished or '')[:19].replace('T', ' ')} UTC"
    reasons = list(decision.reasons[:MOST_REASONS])
    if more := len(decision.reasons) - len(reasons):
        reasons.append(f"{more} more")
    if decision.aside is not None:
        reasons.append(f"starts anew, the finished one is kept in {decision.aside}")
    return f"to do: {'; '.join(reasons)}"


def _step(system: System, decision: Decision) -> Step:
    spec, slots = spec_of(system, decision.stage), slots_of(system)
    inputs, outputs = tuple(expand(spec.inputs, slots)), tuple(expand(spec.outputs, slots))
    return Step(decision.stage, spec.slots, system.log_directory(decision.stage), inputs, outputs, decision)


def _as_text(step: Step) -> str:
    lines = [
        f"{step.stage}: {explain(step.decision)}",
        f"  configs  {', '.join(step.slots) or 'none'}",
        f"  log      {step.log_directory / step.stage}.log",
        *(f"  reads    {file}" for file in _some(step.inputs, _with_state)),
        *(f"  writes   {file}" for file in _some(step.outputs, _with_state)),
    ]
    return "\n".join(lines)


def _some(paths: Sequence[Path], shown: Callable[[Path], str]) -> list[str]:
    """Each of the first paths as it is to be shown, and how many more there are."""
    more = len(paths) - MOST_FILES
    return [*map(shown, paths[:MOST_FILES]), *([f"… {more} more"] if more > 0 else [])]


def _with_state(path: Path) -> str:
    return f"{path} ({'exists' if path.exists() else 'missing'})"


def _show_table(steps: Sequence[Step]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("stage", "plan", "files", show_lines=True, caption="✓ exists   · missing", caption_justify="left")
    table.columns[0].no_wrap = True
    table.columns[1].ratio = 1
    table.columns[2].overflow = "fold"
    for step in steps:
        colour = "green" if step.decision.done else "yellow"
        stage = "\n".join([f"[bold]{step.stage}[/bold]", *(f"[dim]{slot}[/dim]" for slot in step.slots)])
        files = [*_marked("reads ", step.inputs), *_marked("writes", step.outputs)]
        files.append(f"  log    {step.log_directory / step.stage}.log")
        table.add_row(stage, f"[{colour}]{escape(explain(step.decision))}[/{colour}]", escape("\n".join(files)))
    Console().print(table)


def _marked(verb: str, paths: Sequence[Path]) -> list[str]:
    return _some(paths, lambda path: f"{'✓' if path.exists() else '·'} {verb} {path}")

"""Which stages are done, which are to run, and because of what.

run.py's `main` and the workflow's plan step decide here, and put down that a stage is done; `run_stages` itself always
runs what it is given. A stage is done when its record says that it finished under today's fingerprint, what it made is
still there, and no stage that it builds on has run since.
"""

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from espnet3.pipeline.contents import named_contents, strings
from espnet3.pipeline.fingerprint import Covered, StageRun, cover, differences, fingerprint_of, parts_of
from espnet3.pipeline.paths import expand, record_path
from espnet3.pipeline.spec import System, slots_of, spec_of
from espnet3.runtime.files import remove_leftovers, write_text

log = logging.getLogger(__name__)

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What is to happen to a stage."""

    stage: str
    run: StageRun
    reasons: tuple[str, ...]
    """Why it runs; empty when it is done."""
    finished: str | None = None
    """When it was last finished (UTC, ISO 8601)."""
    aside: Path | None = None
    """Where what it made then goes, where it is not replaced."""

    @property
    def done(self) -> bool:
        """Whether there is nothing to do."""
        return not self.reasons


def decide(system: System, stages: Sequence[str], forced: Collection[str], files: Mapping[str, str]) -> list[Decision]:
    """What is to happen to each of `stages`, in this order.

    Args:
        system: with its configs, resolved.
        stages: those that were asked for.
        forced: those that run in any case.
        files: sha256 of the recipe's own files by path.
    """
    covers = _cover(system, stages, files)
    decisions: list[Decision] = []
    for stage in stages:
        running = [earlier.stage for earlier in decisions if not earlier.done]
        covered = covers[stage]
        record = read_record(system, stage)
        reasons = ("--force",) if stage in forced else tuple(_reasons(system, stage, covered, running))
        run = StageRun(fingerprint_of(covered), covered, stage in forced)
        anew = record is not None and (stage in forced or record.get("fingerprint") != run.fingerprint)
        aside = system.next_backup(stage) if anew else None
        decisions.append(Decision(stage, run, reasons, record.get("finished") if record else None, aside))
    return decisions


def out_of_date(system: System, stages: Sequence[str], files: Mapping[str, str]) -> dict[str, list[str]]:
    """What changed since the stages finished that `stages` build on but that are not among them."""
    records = {stage: record for stage in _builds_on(system, stages) if (record := read_record(system, stage))}
    covers = _cover(system, list(records), files)
    changed = {stage: _changes(record, covers[stage]) for stage, record in records.items()}
    return {stage: lines for stage, lines in changed.items() if lines}


def unfinished(system: System, stages: Sequence[str]) -> list[str]:
    """The stages that `stages` build on, that are not among them, and that were started here but never finished."""
    slots = slots_of(system)
    return [
        stage
        for stage in _builds_on(system, stages)
        if _record_path(system, stage)
        and read_record(system, stage) is None
        and _was_started(system, stage)
        and any(path.exists() for path in expand(spec_of(system, stage).outputs, slots))
    ]


def write_record(system: System, decision: Decision, seconds: float) -> None:
    """Put down that the stage is done."""
    path = _record_path(system, decision.stage)
    if path is None:
        return
    after = {stage: _finished(system, stage) for stage in spec_of(system, decision.stage).after}
    record = {
        "fingerprint": decision.run.fingerprint,
        "covered": decision.run.covered,
        "after": after,
        "seconds": round(seconds, 3),
        "finished": datetime.now(UTC).isoformat(),
    }
    write_text(path, json.dumps(record, indent=2, ensure_ascii=False, default=str) + "\n")


def remove_record(system: System, stage: str) -> None:
    """A stage that starts is no longer done: whatever stops it, it runs again."""
    if path := _record_path(system, stage):
        path.unlink(missing_ok=True)
        remove_leftovers(path.parent, nested=False, name=path.name)


def read_record(system: System, stage: str) -> Record | None:
    """The done record of a stage; None where there is none that can be read."""
    path = _record_path(system, stage)
    try:
        record = json.loads(path.read_text(encoding="utf-8")) if path else None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("The done record %s cannot be read (%s): %s runs again.", path, error, stage)
        return None
    return record if isinstance(record, dict) and isinstance(record.get("covered"), dict) else None


def _cover(system: System, stages: Sequence[str], files: Mapping[str, str]) -> dict[str, Covered]:
    asking = [stage for stage, spec in system.stage_specs.items() if spec.files]
    contents = {stage: _contents(system, stage) for stage in asking}
    return cover(type(system), stages, slots_of(system), files, contents)


def _contents(system: System, stage: str) -> dict[str, str]:
    """What is in the files that the settings of `stage` name.

    One that is not on this machine counts as unchanged: an archive may be removed when its corpus is built.
    """
    node = parts_of(slots_of(system), spec_of(system, stage).files)
    covered = (read_record(system, stage) or {}).get("covered", {})
    recorded = {text: covered[f"file:{text}"] for text in strings(node) if f"file:{text}" in covered}
    return recorded | named_contents(node)


def _was_started(system: System, stage: str) -> bool:
    return (system.log_directory(stage) / f"{stage}.log").exists()


def _builds_on(system: System, stages: Sequence[str]) -> list[str]:
    names = (name for stage in stages for name in spec_of(system, stage).after)
    return [name for name in dict.fromkeys(names) if name not in stages]


def _record_path(system: System, stage: str) -> Path | None:
    return record_path(spec_of(system, stage), stage, slots_of(system))


def _reasons(system: System, stage: str, covered: Covered, running: Sequence[str]) -> Iterator[str]:
    spec = spec_of(system, stage)
    path = _record_path(system, stage)
    if path is None:
        yield "always runs"
        return
    record = read_record(system, stage)
    if record is None:
        yield "not finished" if _was_started(system, stage) else "never run"
        return
    yield from _changes(record, covered, running)
    yield from (f"{earlier} runs again" for earlier in spec.after if earlier in running)
    yield from _ran_since(system, record, running)
    yield from (f"{output} is missing" for output in expand(spec.outputs, slots_of(system)) if not output.exists())


def _changes(record: Record, covered: Covered, running: Sequence[str] = ()) -> list[str]:
    """What differs; of the stages before, only those that do not say so themselves by running again."""
    skipped = {f"after:{stage}" for stage in running}
    old, new = (
        {key: value for key, value in each.items() if key not in skipped} for each in (record["covered"], covered)
    )
    return differences(old, new)


def _ran_since(system: System, record: Record, running: Sequence[str]) -> Iterator[str]:
    for stage, finished in record.get("after", {}).items():
        now = _finished(system, stage)
        if stage in running or now == finished:
            continue
        # A stage takes its record away when it starts, so what stopped half way, or was run by hand, leaves none.
        yield f"{stage} ran since, {now[:19]}" if now else f"{stage} was started since and has not been finished"


def _finished(system: System, stage: str) -> str | None:
    record = read_record(system, stage)
    return str(record.get("finished")) if record else None

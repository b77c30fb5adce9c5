"""The record of a stage, and what speaks against its being done.

A record holds what the stage depended on and what it wrote, with digests. `plan` asks `reasons_to_run`; `run` removes
the record when a stage starts and writes it when it ends, both under the record's lease, so that of two runs of a stage
in one directory the earlier one leaves no record on the other's files.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from espnet3.pipeline.contents import Content, content_of_tree
from espnet3.pipeline.difference import content_change, differences
from espnet3.pipeline.fingerprint import FingerprintInputs, StageRun
from espnet3.pipeline.paths import expand, fixed_part, found_by, record_path
from espnet3.pipeline.spec import StageSpec, System, slots_of, spec_of
from espnet3.runtime.files import remove, remove_leftovers, write_text
from espnet3.runtime.leases import LEASE_FILE, lease
from espnet3.runtime.versions import git_commit, package_version

log = logging.getLogger(__name__)

NOT_FINISHED = "not finished"
SCHEMA_VERSION = 2
"""Version 1 held no digests: a stage with such a record runs again."""


@dataclass(frozen=True)
class Record:
    """That a stage is done."""

    inputs: FingerprintInputs
    outputs: Mapping[str, Content]
    """By path, as the configs have it."""
    finished: str
    """UTC, ISO 8601."""
    seconds: float = 0.0
    made_by: Mapping[str, str] = field(default_factory=dict)
    """Version and commit of espnet3 and commit of the recipe, for people."""


def reasons_to_run(system: System, stage: str, record: Record | None, inputs: FingerprintInputs) -> Iterator[str]:
    """Why a stage is not done, one line each; nothing where it is."""
    spec, slots = spec_of(system, stage), slots_of(system)
    if record_path(spec, stage, slots) is None:
        yield "always runs"
        return
    if record is None:
        # What experiments share was made under other names: because of what this is another, is worth telling.
        latest = _latest_record(system, stage) if spec.named_by else None
        others = differences(latest.inputs, inputs) if latest else []
        yield from others or [NOT_FINISHED if _was_started(system, stage) else "never run"]
        return
    yield from differences(record.inputs, inputs)
    yield from _changed_outputs(system, stage, record)


def _was_started(system: System, stage: str) -> bool:
    return (system.log_directory(stage) / f"{stage}.log").exists()


def read_record(system: System, stage: str) -> Record | None:
    """The record of a stage; None where there is none that can be read."""
    path = record_path(spec_of(system, stage), stage, slots_of(system))
    return _read(path, stage) if path else None


def _latest_record(system: System, stage: str) -> Record | None:
    """That of the stage's last run, whatever it was named by."""
    path = record_path(spec_of(system, stage), stage, slots_of(system))
    paths = sorted(path.parent.glob(f"{stage}-*.json"), key=lambda each: each.stat().st_mtime_ns) if path else []
    return _read(paths[-1], stage) if paths else None


def _read(path: Path, stage: str) -> Record | None:
    try:
        return _parse(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        log.warning("The done record %s cannot be read (%s): %s runs again.", path, error, stage)
        return None


@contextmanager
def recording(system: System, stage: str, run: StageRun | None, is_whole: bool) -> Iterator[None]:
    """Remove the record of a stage, and write a new one when the block ends well.

    Args:
        system: with its configs.
        stage: name of the stage.
        run: what it runs under; None where a System is used by hand, which leaves no record.
        is_whole: whether the stage is complete when the block ends; a shard leaves no record, and shards start side by
            side.

    Raises:
        LostLease: another run of the stage has started here; there is no record then.
    """
    path = record_path(spec_of(system, stage), stage, slots_of(system))
    if path is None or not is_whole:
        if path is not None:
            path.unlink(missing_ok=True)
        yield
        return
    start = datetime.now(UTC)
    with lease(path.parent, name=f"{LEASE_FILE}.{stage}"):
        remove(path)
        remove_leftovers(path.parent, nested=False, name=path.name)
        yield
        if run is not None:
            _write(path, _record_of(system, stage, run, start))


def _record_of(system: System, stage: str, run: StageRun, start: datetime) -> Record:
    inputs = _with_own_inputs(spec_of(system, stage), run)
    end = datetime.now(UTC)
    made_by = {"espnet3": package_version(), "commit": git_commit(Path(__file__).parent), "recipe": git_commit(Path())}
    seconds = round((end - start).total_seconds(), 3)
    return Record(inputs, _outputs_of(system, stage), end.isoformat(), seconds, made_by)


def _with_own_inputs(spec: StageSpec, run: StageRun) -> FingerprintInputs:
    """The inputs as the stage found them, but for those that it makes itself, which are as it left them."""
    if not spec.can_make or run.now is None:
        return run.inputs
    now = run.now()
    made = {role: each for role, each in now.contents.items() if role not in run.inputs.contents}
    settings = {key: value for key, value in run.inputs.settings.items() if key not in made}
    return replace(run.inputs, settings=settings, contents={**run.inputs.contents, **made})


def _outputs_of(system: System, stage: str) -> dict[str, Content]:
    slots = slots_of(system)
    paths = [path for template in spec_of(system, stage).outputs for _, path in found_by(template, slots)]
    contents = {str(path): content_of_tree(path) for path in paths}
    return {path: content for path, content in contents.items() if content is not None}


def _changed_outputs(system: System, stage: str, record: Record) -> Iterator[str]:
    spec = spec_of(system, stage)
    fixed = expand([each for each in spec.outputs if fixed_part(each) == each] + list(spec.folders), slots_of(system))
    yield from (f"{path} is missing" for path in fixed if str(path) not in record.outputs and not path.exists())
    for path, before in record.outputs.items():
        now = content_of_tree(Path(path))
        if now is None:
            yield f"{path} is missing"
        elif now != before:
            yield f"{path} is not as {stage} left it ({content_change(before, now)})"


def _write(path: Path, record: Record) -> None:
    outputs = {name: asdict(content) for name, content in record.outputs.items()}
    plain = {
        "schema_version": SCHEMA_VERSION,
        "fingerprint": record.inputs.fingerprint,
        "inputs": record.inputs.to_json(),
        "outputs": outputs,
        "finished": record.finished,
        "seconds": record.seconds,
        "made_by": dict(record.made_by),
    }
    write_text(path, json.dumps(plain, indent=1, ensure_ascii=False) + "\n")


def _parse(plain: Any) -> Record | None:
    try:
        if plain["schema_version"] != SCHEMA_VERSION:
            return None
        outputs = {path: Content(**content) for path, content in plain["outputs"].items()}
        inputs = FingerprintInputs.from_json(plain["inputs"])
        return Record(inputs, outputs, str(plain["finished"]), float(plain["seconds"]), dict(plain["made_by"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        return None

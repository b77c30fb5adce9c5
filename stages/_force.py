"""Whether a stage that is done is to run again: what ESPNET3_FORCE wishes, and whether an earlier attempt has begun it.

The entrypoint asks. A preempted pod is replaced by one with the same environment. ESPNET3_IDEMPOTENCY_KEY tells that
they are one request: a Job's replacement has no number of its own, and a workflow that is retried counts its attempts
from 0 again.
"""

import json
from pathlib import Path
from typing import Any

from espnet3.pipeline.shard import Shard
from espnet3.recipe.prepare import Run
from espnet3.runtime.files import write_text
from stages import _environment
from stages._run import OpenedRun, decide_stage


def is_forced(opened_run: OpenedRun, run: Run, stage: str, shard: Shard | None) -> bool:
    """Whether `stage`, or a shard of it, starts over; a later attempt goes on with what the first began.

    To begin, a stage removes its record. So it has not begun while the record is the one that was there when
    the key was first seen.
    """
    if not {stage, "all"} & set(_environment.names_in("ESPNET3_FORCE")):
        return False
    finished = decide_stage(run, stage).finished
    key = _environment.text_in("ESPNET3_IDEMPOTENCY_KEY")
    if key is None:
        return _environment.attempt() == 0 or finished is not None
    path = opened_run.folder / "forced" / _name(stage, shard)
    found = _read(path)
    if found.get("id") == key:
        return finished is not None and finished == found.get("finished")
    write_text(path, json.dumps({"id": key, "finished": finished}) + "\n")
    return True


def _name(stage: str, shard: Shard | None) -> str:
    return stage if shard is None else f"{stage}-{'merge' if shard.is_merge else shard.index}"


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}

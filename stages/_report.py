"""`python -m stages report --config FILE`: what came of a run, on the volume and on stdout.

A workflow's exit handler calls it, whether the run went well or not. What it says of stages it reads from their done
records; how the workflow ended, it is told by the environment.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from espnet3.recipe.prepare import Run
from espnet3.recipe.summary import read_scores
from espnet3.runtime.files import write_text
from espnet3.runtime.redaction import environment_secrets, redact
from stages import _environment
from stages._run import decide_stage, opened

LISTED = 5
"""Failures that the workflow itself keeps; the file has them all."""
LONGEST = 200
"""Characters of each."""


def report(path: Path) -> dict[str, Any]:
    """Write `.runs/<digest>/outcome.json` and print it; gives what the workflow is to keep of it.

    Raises:
        ConfigError: the run config is not valid.
    """
    with opened(path) as opened_run:
        run, config = opened_run.whole, opened_run.config
        outcome = {
            "run": config.digest,
            "recipe": config.recipe.name,
            "finished": datetime.now(UTC).isoformat(),
            "status": _environment.text_in("ESPNET3_ARGO_STATUS"),
            "failures": _environment.json_in("ESPNET3_ARGO_FAILURES"),
            "stages": {stage: _state(run, stage) for stage in config.stages},
            "results": read_scores(run.system),
        }
        text = redact(json.dumps(outcome, indent=2, ensure_ascii=False) + "\n", environment_secrets())
        write_text(opened_run.folder / "outcome.json", text)
        sys.stdout.write(text)
        return _brief(json.loads(text))


def _brief(outcome: dict[str, Any]) -> dict[str, Any]:
    stages: dict[str, Any] = outcome["stages"]
    failures = outcome["failures"] if isinstance(outcome["failures"], list) else []
    told = [
        f"{each.get('displayName')}: {each.get('message')}"[:LONGEST] for each in failures if isinstance(each, dict)
    ]
    return {
        **{key: outcome[key] for key in ("run", "recipe", "status")},
        "failures": told[:LISTED],
        "undone": [stage for stage, state in stages.items() if not state["done"]],
        "results": outcome["results"],
    }


def _state(run: Run, stage: str) -> dict[str, Any]:
    decision = decide_stage(run, stage)
    return {"done": decision.done, "finished": decision.finished, "reasons": list(decision.reasons)}

"""What a run leaves to look at: the table of results, and where the scores, the report, the model and the logs are.

`cli.main` shows it at the end of a run. The figures are those of metrics.json, as measure wrote them; nothing is
computed here.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from espnet3.pipeline.run import Results
from espnet3.pipeline.spec import System

if TYPE_CHECKING:
    from rich.table import Table

Scores = Mapping[str, Any]


def show_summary(results: Results) -> None:
    """Write the summary of a run to stdout."""
    system, stages = results.system, [result.stage for result in results.stages]
    if "measure" in stages and (scores := read_scores(system)):
        from rich.console import Console

        Console().print(_table(scores, read_backends(system, scores)))
    for name, path in _places(system, stages).items():
        sys.stdout.write(f"{name:<8} {path}\n")
    sys.stdout.flush()


def _places(system: System, stages: Sequence[str]) -> dict[str, str]:
    logs = dict.fromkeys(str(system.log_directory(stage)) for stage in stages)
    places = {"logs": ", ".join(f"{directory}/*.log" for directory in logs)}
    experiment = system.training_config and OmegaConf.select(system.training_config, "exp_dir")
    if experiment and Path(experiment).is_dir():
        places["model"] = str(experiment)
    if (scores := _scores_file(system)) and "measure" in stages and scores.exists():
        places["scores"] = str(scores)
        for report in sorted(scores.parent.glob("*.html"))[:1]:
            places["report"] = str(report.absolute())
    return places


def _scores_file(system: System) -> Path | None:
    directory = system.metrics_config and OmegaConf.select(system.metrics_config, "inference_dir")
    return Path(directory) / "metrics.json" if directory else None


def read_scores(system: System) -> dict[str, Scores]:
    """The scores of each test set, as measure wrote them; empty where there are none."""
    path = _scores_file(system)
    if path is None or not path.exists():
        return {}
    scores = json.loads(path.read_text(encoding="utf-8"))
    return {test: values for test, values in scores.items() if isinstance(values, Mapping)}


def read_backends(system: System, tests: Iterable[str]) -> dict[str, str]:
    """By test set, what ran the model whose outputs were scored, and how exactly, as infer wrote; where it is known."""
    path = _scores_file(system)
    return {} if path is None else backends_in(path.parent, tests)


def backends_in(directory: Path, tests: Iterable[str]) -> dict[str, str]:
    """The same of an `inference_dir`."""
    found = {}
    for test in tests:
        try:
            timing = json.loads((directory / test / "timing.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if isinstance(timing, Mapping) and (backend := timing.get("backend")):
            found[test] = str(backend)
    return found


def _table(scores: Mapping[str, Scores], backends: Mapping[str, str]) -> "Table":
    from rich.table import Table

    columns = list(dict.fromkeys(name for values in scores.values() for name in _headline(values)))
    table = Table(title="results")
    table.add_column("test set", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right")
    if backends:
        table.add_column("backend", overflow="fold")
    for test, values in scores.items():
        backend = [backends.get(test, "")] if backends else []
        table.add_row(test, *(_cell(values, name) for name in columns), *backend)
    return table


def _headline(values: Scores) -> list[str]:
    """The scores themselves: those with an interval, or, where none has one, every number."""
    with_interval = [name for name in values if f"{name}_low" in values]
    return with_interval or [name for name, value in values.items() if isinstance(value, int | float)]


def _cell(values: Scores, name: str) -> str:
    if name not in values:
        return ""
    low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
    interval = f" ({low:.1f} to {high:.1f})" if isinstance(low, float) and isinstance(high, float) else ""
    value = values[name]
    return f"{value:.2f}{interval}" if isinstance(value, float) else f"{value}{interval}"

"""Runs every benchmark, prints a table, and the same as JSON: `make bench`."""

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import audio, audio_index, cold, growth, imports, machine, onnx, plan, stages
from bench.figure import Figure

RECIPES = Path(__file__).parent.parent / "egs3"


def main() -> None:
    """Measure and print."""
    description = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        figures = run_all(Path(folder))
    show(description, figures)
    sys.stdout.write(json.dumps({"machine": description, "figures": [record(figure) for figure in figures]}, indent=2))
    sys.stdout.write("\n")


def run_all(folder: Path) -> list[Figure]:
    """Every benchmark, the quick ones first."""
    figures = imports.measure()
    names = ["digits", *(["an4"] if os.environ.get("ESPNET3_AN4_ARCHIVE") else [])]
    for name in names:
        recipe = stages.copy_recipe(RECIPES / name / "asr", folder)
        figures += stages.measure(recipe)
        figures += onnx.measure(recipe)
    figures += audio.measure(recipe / "data" / "train.jsonl", recipe / "conf" / "training.yaml")
    figures += audio_index.measure(folder / "index")
    figures += plan.measure(RECIPES / "digits" / "asr", folder / "plan")
    figures += cold.measure()
    return figures + growth.measure(folder / "growth")


def record(figure: Figure) -> dict[str, Any]:
    """A figure as JSON."""
    return {**asdict(figure), "value": round(figure.value, 3), "met": figure.met}


def show(description: dict[str, Any], figures: list[Figure]) -> None:
    """Print the table."""
    title = f"{description['processor']}, {description['cores']} cores, {description['memory_gib']} GiB"
    table = Table("figure", "measured", "unit", "asked for", "", title=title)
    for figure in figures:
        sign = "" if figure.target is None else ("at least " if figure.better == "more" else "at most ")
        target = "" if figure.target is None else f"{sign}{figure.target:g}"
        mark = {None: "", True: "[green]met[/green]", False: "[red]missed[/red]"}[figure.met]
        table.add_row(figure.name, f"{figure.value:.4g}", figure.unit, target, mark)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()

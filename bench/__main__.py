"""Runs every benchmark, or those named, prints a table, and the same as JSON: `make bench`, `make bench BENCH=plan`."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import audio, audio_index, cold, growth, imports, joint, machine, onnx, plan, stages
from bench.figure import Figure

RECIPES = Path(__file__).parent.parent / "egs3"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure speed, padding and memory.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all where left out: {', '.join(BENCHES)}")
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in BENCHES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    description = machine.describe()
    with tempfile.TemporaryDirectory() as folder:
        figures = [figure for name in names or BENCHES for figure in BENCHES[name](Path(folder))]
    show(description, figures)
    sys.stdout.write(json.dumps({"machine": description, "figures": [record(figure) for figure in figures]}, indent=2))
    sys.stdout.write("\n")


def measure_recipes(folder: Path) -> list[Figure]:
    """The stages of whole recipes, their models in ONNX, and reading the audio of the last."""
    figures = []
    for name in ["digits", *(["an4"] if os.environ.get("ESPNET3_AN4_ARCHIVE") else [])]:
        recipe = stages.copy_recipe(RECIPES / name / "asr", folder)
        figures += stages.measure(recipe)
        figures += onnx.measure(recipe)
    return figures + audio.measure(recipe / "data" / "train.jsonl", recipe / "conf" / "training.yaml")


BENCHES: dict[str, Callable[[Path], list[Figure]]] = {
    "imports": lambda folder: imports.measure(),
    "recipes": measure_recipes,
    "joint": lambda folder: joint.measure(folder / "joint"),
    "index": lambda folder: audio_index.measure(folder / "index"),
    "plan": lambda folder: plan.measure(RECIPES / "digits" / "asr", folder / "plan"),
    "cold": lambda folder: cold.measure(),
    "growth": lambda folder: growth.measure(folder / "growth"),
}
"""By name, the quick ones first."""


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

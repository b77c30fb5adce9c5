"""A recipe, stage by stage, each in a process of its own: seconds, memory, and the speeds that the stages report."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from bench.process import Cost, median, run_python

WITHOUT_TORCH = ("create_dataset", "train_tokenizer", "collect_stats", "measure")
STAGES = ("create_dataset", "train_tokenizer", "collect_stats", "train", "infer", "measure")
EPOCHS = 3
CONFIG = f"""defaults: [training, _self_]
exp_tag: bench
trainer: {{max_epochs: {EPOCHS}}}
"""
SPEED = re.compile(r"([\d.]+) times real time")


def copy_recipe(recipe: Path, folder: Path) -> Path:
    """A copy that trains for a few epochs, so that nothing of the user's is touched."""
    copy = folder / recipe.parent.name / recipe.name
    shutil.copytree(recipe, copy, ignore=shutil.ignore_patterns("__pycache__", "data", "exp", "speech"))
    (copy / "conf" / "bench.yaml").write_text(CONFIG, encoding="utf-8")
    return copy


def measure(recipe: Path) -> list[Figure]:
    """Run the stages of a copied recipe."""
    name = recipe.parent.name
    costs = {stage: cost_of(recipe, stage) for stage in STAGES}
    figures = [figure for stage, cost in costs.items() for figure in stage_figures(name, stage, cost)]
    plan = median(lambda: run_python(["run.py", "--dry_run", *configs()], recipe))
    return [
        *figures,
        Figure(f"{name}: run.py --dry_run", plan.seconds, "s", 1, "less"),
        Figure(f"{name}: training", training_speed(recipe), "x real time", 75),
        Figure(f"{name}: greedy inference", inference_speed(recipe), "x real time", 150),
    ]


def cost_of(recipe: Path, stage: str) -> Cost:
    """One stage, start to exit; the quick ones by the middle one of some runs."""
    if is_quick(recipe.parent.name, stage):
        return median(lambda: run_stage(recipe, stage, "--force"))
    return run_stage(recipe, stage)


def is_quick(name: str, stage: str) -> bool:
    """Whether a stage of a recipe is nearly all overhead."""
    return name == "digits" and stage in {"create_dataset", "measure"}


def run_stage(recipe: Path, stage: str, *flags: str) -> Cost:
    """One run of a stage, start to exit."""
    return run_python(["run.py", "--stages", stage, *configs(), *flags], recipe)


def configs() -> list[str]:
    """The flags that choose the short training."""
    return ["--training_config", "conf/bench.yaml"]


def stage_figures(name: str, stage: str, cost: Cost) -> Iterator[Figure]:
    """Memory of every stage; time too of those that are nearly all overhead on a small recipe."""
    light = stage in WITHOUT_TORCH
    quick = is_quick(name, stage)
    yield Figure(f"{name}: {stage}, start to exit", cost.seconds, "s", 2 if quick else None, "less")
    limit = 400 if light else 2000 if stage == "train" else None
    yield Figure(f"{name}: {stage}, peak memory", cost.megabytes, "MB", limit, "less")


def training_speed(recipe: Path) -> float:
    """The speed of the last epoch, which no first use slows down."""
    speeds = SPEED.findall((recipe / "exp" / "bench" / "train.log").read_text(encoding="utf-8"))
    return float(speeds[-1])


def inference_speed(recipe: Path) -> float:
    """Seconds of audio per second of decoding, over the test sets."""
    timings = [json.loads(path.read_text("utf-8")) for path in (recipe / "exp" / "bench").rglob("timing.json")]
    return float(sum(t["audio_seconds"] for t in timings) / sum(t["decode_seconds"] for t in timings))

"""The digits recipe with a tiny model, run as users run it; and what it means that two runs left the same files."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs3/digits/asr"
STAGES = ["create_dataset", "train_tokenizer", "collect_stats", "train", "infer", "measure"]
TRAINING = """\
defaults: [training, _self_]
exp_tag: tiny
num_threads: 1
dataset:
  train: [{data_src_args: {manifest: "${data_dir}/valid.jsonl"}}]
augment: []
model: {hidden_size: 16, num_layers: 1, projection_size: 16, channels: [4, 4, 8]}
dataloader: {num_workers: 0}
trainer: {max_epochs: 3, keep_checkpoints: 2, log_every_n_steps: 2}
"""
INFERENCE = """\
defaults: [inference, _self_]
num_threads: 1
batch_seconds: 20
parallel: {shards: 3}
"""
CONFIGS = {"training": "conf/tiny.yaml", "inference": "conf/tiny_inference.yaml"}
FLAGS = [word for slot, file in CONFIGS.items() for word in (f"--{slot}_config", file)]
Done = subprocess.CompletedProcess[str]


class Digits:
    """A copy of the recipe in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def new(cls, folder: Path) -> "Digits":
        """A copy in which nothing has run."""
        shutil.copytree(RECIPE, folder, ignore=shutil.ignore_patterns("speech", "data", "exp", "__pycache__"))
        recipe = cls(folder)
        recipe.write(CONFIGS["training"], TRAINING)
        recipe.write(CONFIGS["inference"], INFERENCE)
        return recipe

    def copy(self, folder: Path) -> "Digits":
        """A copy with all that was made; audio, which nothing writes in place, is linked."""
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=_copy)
        return Digits(folder)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def start(
        self, *flags: str, python: tuple[str, ...] = (), before: Callable[[], None] | None = None, **env: str
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *python, "run.py", *FLAGS, *flags],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,  # noqa: PLW1509
            env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        )

    def run(
        self, *flags: str, python: tuple[str, ...] = (), before: Callable[[], None] | None = None, **env: str
    ) -> Done:
        process = self.start(*flags, python=python, before=before, **env)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def stages_run_by(self, *flags: str) -> list[str]:
        done = self.run(*flags)
        assert done.returncode == 0, done.stderr
        return re.findall(r"DONE (\w+)", done.stdout)

    def plan(self, *flags: str) -> dict[str, str]:
        done = self.run("--dry_run", *flags)
        assert done.returncode == 0, done.stderr
        return dict(re.findall(r"^(\w+): (.*)$", done.stdout, re.MULTILINE))

    def files(self) -> dict[str, int]:
        """Every file with the time of its last change."""
        return {str(path.relative_to(self.folder)): path.stat().st_mtime_ns for path in _files(self.folder)}

    def products(self) -> dict[str, Any]:
        """What the stages made, each file as something that is equal where the files mean the same."""
        made = (path for place in ("data", "exp") for path in _files(self.folder / place))
        return {str(path.relative_to(self.folder)): meaning(path) for path in made if not _is_of_one_run(path)}


def meaning(path: Path) -> Any:
    """What must be equal of a file; all of it but where a rule for its kind says otherwise."""
    if path.parent.name == ".done":
        record = json.loads(path.read_text(encoding="utf-8"))
        return {key: record[key] for key in ("fingerprint", "covered")}
    if path.suffix == ".ckpt":
        # Not the bytes: a pickle tells objects that are one from objects that are equal.
        return _plain(torch.load(path, map_location="cpu", weights_only=True))
    if path.name == "report.html":
        text = path.read_text(encoding="utf-8")
        return re.sub(r'<section aria-labelledby="speed">.*?</section>', "", text, flags=re.DOTALL)
    return path.read_bytes()


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    return (str(node.dtype), node.tolist()) if isinstance(node, torch.Tensor) else node


def _is_of_one_run(path: Path) -> bool:
    """Timings, logs, a killed owner's name, and TensorBoard's events, which hold times of day."""
    of_one = path.name in ("timing.json", ".owner") or path.suffix == ".log"
    return of_one or path.name.startswith("events.out.tfevents.")


def _files(folder: Path) -> Iterator[Path]:
    """Also those in folders that are links to another disk."""
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in sorted(names) if not place.endswith("__pycache__"))


def _copy(source: str, target: str) -> str:
    if source.endswith(".flac"):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)

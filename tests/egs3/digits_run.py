"""The digits recipe with a tiny model, run as users run it."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import trees

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "egs3/digits/asr"
STAGES = ["create_dataset", "train_tokenizer", "collect_stats", "train", "infer", "measure", "pack_model", "pack_demo"]
ALL_STAGES = [*STAGES[:-1], "upload_model", "pack_demo", "upload_demo"]
"""Those of a recipe after `Digits.publish`, in their order."""
REPO = "me/recipe"
"""Of the model, and of the Space."""
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
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=link_audio)
        return Digits(folder)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def publish(self) -> None:
        """Make the uploads part of every run, to the Hub and with the token that the environment names."""
        self.edit("conf/publication.yaml", "repo: null", f"repo: {REPO}")
        self.edit("run.py", '    "pack_demo",\n', '    "upload_model",\n    "pack_demo",\n    "upload_demo",\n')

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
        return {str(path.relative_to(self.folder)): path.stat().st_mtime_ns for path in trees.files(self.folder)}

    def products(self) -> dict[str, Any]:
        """What the stages made, each file as something that is equal where the files mean the same."""
        return trees.products(self.folder)


def link_audio(source: str, target: str) -> str:
    if source.endswith(".flac"):
        os.link(source, target)
        return target
    return shutil.copy2(source, target)


def respect_permissions() -> None:
    """Make the program that this process becomes obey the modes of files also as root."""
    set_capability_bounds, dac_override = 24, 1
    if os.geteuid() == 0 and ctypes.CDLL(None).prctl(set_capability_bounds, dac_override, 0, 0, 0) != 0:
        raise OSError("prctl")

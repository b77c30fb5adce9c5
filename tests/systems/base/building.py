"""A recipe folder with a dataset builder, and create_dataset in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.components.data.corpus import write_audio

ENVIRONMENT = {**os.environ, "PYTHONPATH": "."}

BUILDER = """
from dataclasses import dataclass
from pathlib import Path

from espnet3.components.data.audio import whole_file
from espnet3.components.data.dataset import ManifestDataset as Dataset
from espnet3.components.data.dataset_builder import DatasetBuilder as Base
from espnet3.components.data.manifest import write_manifest
from espnet3.runtime.files import replacing_dir


@dataclass
class DatasetBuilder(Base):
    source: Path
    texts: tuple[str, ...] = ("ONE", "TWO")
    seed: int = 0

    def is_source_prepared(self):
        return (self.data_dir / "audio").is_dir()

    def prepare_source(self):
        with replacing_dir(self.data_dir / "audio") as folder:
            (folder / "a.wav").write_bytes(self.source.read_bytes())

    def is_built(self):
        return all((self.data_dir / f"{split}.jsonl").exists() for split in ("train", "test"))

    def build(self):
        self._log("build")
        path = self.data_dir / "audio/a.wav"
        for split in ("train", "test"):
            write_manifest(
                self.data_dir / f"{split}.jsonl",
                [whole_file(f"{split}{n}", path, self.data_dir, f"{split} {text}", f"{split}-話者")
                 for n, text in enumerate(self.texts)],
            )

    def _log(self, step):
        with open(self.source.parent / "steps", "a") as file:
            file.write(step + "\\n")
"""


class Recipe:
    """A recipe folder with a dataset module, and how often its builder built."""

    def __init__(self, folder: Path, builder: str = BUILDER) -> None:
        self.folder = folder / "レシピ"
        self.data = self.folder / "data"
        (self.folder / "dataset").mkdir(parents=True)
        (self.folder / "dataset/__init__.py").write_text(builder)
        self.audio = write_audio(self.folder / "tone ü.wav")

    def config(self, **changes: Any) -> dict[str, Any]:
        def entries(split: str) -> list[dict[str, Any]]:
            return [{"name": "plain", "data_src_args": {"manifest": str(self.data / f"{split}.jsonl")}}]

        return {
            "data_dir": str(self.data),
            "recipe_dir": str(self.folder),
            "dataset": {"train": entries("train"), "test": entries("test")},
            "create_dataset": {"source": str(self.audio)} | changes,
        }

    @property
    def builds(self) -> int:
        steps = self.folder / "steps"
        return len(steps.read_text().split()) if steps.exists() else 0

    def leftovers(self) -> list[Path]:
        return [path for path in self.data.rglob("*") if path.name.endswith(".tmp") or path.name == ".lease"]


def run_elsewhere(config: dict[str, Any]) -> subprocess.Popen[str]:
    """create_dataset in a process of its own that ends with the error's exit code."""
    code = (
        "import json, sys\n"
        "from espnet3.systems.base.create_dataset import create_dataset\n"
        "from espnet3.errors import Espnet3Error\n"
        "try:\n    create_dataset(json.loads(sys.argv[1]))\n"
        "except Espnet3Error as error:\n    print(error, file=sys.stderr)\n    sys.exit(error.exit_code)\n"
    )
    command = [sys.executable, "-c", code, json.dumps(config)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)

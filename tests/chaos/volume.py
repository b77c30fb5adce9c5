"""The volume on which the digits recipe's stages run, each from the run config alone, in a process as its container."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.egs3.digits_run import STAGES, Digits, link_audio
from tests.trees import differences, products


class Volume:
    """A working directory of stages, and the run config outside of it."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder = folder
        self.config = config

    @classmethod
    def new(cls, folder: Path) -> "Volume":
        """One on which nothing has run."""
        config = folder.parent / "run.yaml"
        (folder / "digits/asr").mkdir(parents=True)
        printed = Digits.new(folder.parent / "recipe").run("--print_config")
        assert printed.returncode == 0, printed.stderr
        config.write_text(printed.stdout, encoding="utf-8")
        return cls(folder / "digits/asr", config)

    def copy(self, folder: Path) -> "Volume":
        """A copy with all that was made."""
        shutil.copytree(self.folder, folder, symlinks=True, copy_function=link_audio)
        return Volume(folder, self.config)

    def start(self, stage: str, before: Callable[[], None] | None = None, **env: str) -> "subprocess.Popen[str]":
        """Start a stage in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", f"stages.{stage}", "--config", str(self.config)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=before,  # noqa: PLW1509
            env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        )

    def run(self, stage: str, before: Callable[[], None] | None = None, **env: str) -> tuple[int, str]:
        """Exit code and output of a stage."""
        process = self.start(stage, before, **env)
        said, _ = process.communicate(timeout=300)
        return process.returncode, said

    def differs_from(self, other: "Volume") -> list[str]:
        """What the stages' products differ in."""
        return differences(products(self.folder), products(other.folder))


class Undisturbed:
    """A run of every stage that nothing disturbed: the volume after each, "" before the first, and the seconds."""

    def __init__(self, folder: Path) -> None:
        volume = Volume.new(folder / "run")
        self.after = {"": volume.copy(folder / "0")}
        self.seconds: dict[str, float] = {}
        for number, stage in enumerate(STAGES, 1):
            start = time.monotonic()
            code, said = volume.run(stage)
            assert code == 0, said
            self.seconds[stage] = time.monotonic() - start
            self.after[stage] = volume.copy(folder / str(number))

    def before(self, stage: str) -> Volume:
        """The volume as `stage` finds it."""
        return self.after[["", *STAGES][STAGES.index(stage)]]

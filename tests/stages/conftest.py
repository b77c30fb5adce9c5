"""A recipe whose stages only write their files, as its containers find it: a run config and a place for the data."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from stages import __main__ as commands
from stages import _environment, _process
from tests.recipe.toy_recipe import ALL, Recipe

SHARDED_INFER = """
    def infer(self):
        from espnet3.errors import TryAgain
        from espnet3.pipeline.shard import current_shard

        shard = current_shard()
        folder = Path(self.inference_config.inference_dir)
        pieces = folder / ".unfinished"
        if shard and not shard.is_merge:
            self._write(pieces / "shards.json", pieces / str(shard.index))
            return
        if shard:
            missing = [str(index) for index in range(3) if not (pieces / str(index)).exists()]
            if missing:
                raise TryAgain(f"shards {', '.join(missing)} are missing")
        for test in self.inference_config.dataset.test:
            self._write(folder / test.name / "hyp.scp")
        import shutil
        shutil.rmtree(pieces, ignore_errors=True)
"""


@dataclass(frozen=True)
class Ran:
    """What came of a command."""

    code: int
    out: str
    err: str


class Place:
    """The working directory of the containers of a toy recipe's run."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.recipe = Recipe(folder / "toy/asr")
        self.folder = folder / "workspace"
        self.config = folder / "run.yaml"
        self.folder.mkdir()
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def write_config(self) -> None:
        """The run config of the recipe as it is now."""
        done = self.recipe.run("--print_config")
        assert done.returncode == 0, done.stderr
        self.config.write_text(done.stdout, encoding="utf-8")

    def run(self, *words: str, **env: str) -> Ran:
        """`python -m stages <words> --config …` in this process, which is some ten times faster than in its own."""
        self._capsys.readouterr()
        flags = [] if words[0] == "doctor" or "--config" in words else ["--config", str(self.config)]
        with self._monkeypatch.context() as patch:
            patch.chdir(self.folder)
            for name in _environment.VARIABLES:
                patch.delenv(name, raising=False)
            for name, value in env.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                commands.main([*words, *flags])
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, *self._capsys.readouterr())

    def run_all(self) -> None:
        for stage in ALL:
            ran = self.run(stage)
            assert ran.code == 0, ran.err

    def start(self, *words: str, before: tuple[str, ...] = (), **env: str) -> "subprocess.Popen[str]":
        """The same in a process of its own."""
        return subprocess.Popen(
            [*before, sys.executable, "-m", *words, "--config", str(self.config)],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        )


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    place = Place(tmp_path, capsys, monkeypatch)
    place.write_config()
    hooks, umask = list(_process._shutdown_hooks), os.umask(0o022)
    yield place
    os.umask(umask)
    _process._shutdown_hooks[:] = hooks


@pytest.fixture
def sharded(place: Place) -> Place:
    """Its infer can be divided."""
    before, _, rest = (place.recipe.folder / "src/system.py").read_text().partition("\n    def infer(self):")
    place.recipe.write("src/system.py", before + SHARDED_INFER + "\n    def measure" + rest.partition("def measure")[2])
    place.write_config()
    return place

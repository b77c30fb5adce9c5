"""Cold starts: seconds from the start of a stage's container to its first useful work, beside `import torch`.

The containers are confined as `make smoke` confines them, and their recipe is the tests' tiny one. Where no images are
built, there is nothing to measure; `first_work` does the measuring inside, and `import_profile` says why a start that
misses its limit takes so long.
"""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from bench import first_work, import_profile
from bench.figure import Figure
from images import engine, sandbox, smoke
from images.catalog import Variant, version
from tests.egs3.digits_run import Digits

ROUNDS = 3
UPSTREAM = "espnet2.tasks.asr"


class Start(NamedTuple):
    """What counts as a stage's first useful work."""

    stage: str
    work: str
    function: str
    limit: float  # seconds


STARTS = (
    Start("create_dataset", "first manifest", "espnet3.components.data.manifest:write_manifest", 1.5),
    Start("train", "first batch", "espnet3.components.training.loop:TrainingLoop._train_batch", 20),
    Start("infer", "first utterances", "espnet3.systems.asr.inference:Recogniser.decode", 8),
    Start("measure", "first score", "espnet3.components.metrics.edit_rate:EditRate.evaluate", 1.5),
    Start("pack_model", "first bytes of a pack", "espnet3.systems.asr.packing:ASRPacking.config", 1.5),
)


def measure() -> list[Figure]:
    """Seconds of each start, and of `import torch` in a container; empty where no images are built."""
    variant = Variant(version())
    if not all(variant.key(smoke.image_of(start.stage)).exists() for start in STARTS):
        sys.stderr.write("cold starts are left out: no images are built here; make images\n")
        return []
    with tempfile.TemporaryDirectory() as scratch:
        bench = Cold(engine.find(), variant, smoke.make_workspace(Path(scratch, "workspace")))
        bench.prepare(Digits.new(Path(scratch, "recipe")))
        torch = bench.import_torch()
        figures = [Figure("cold start: import torch, in the image of train", torch, "s")]
        for start in STARTS:
            seconds = bench.seconds(start)
            name = f"cold start: {start.stage}, {start.work}"
            figures.append(Figure(name, seconds, "s", start.limit, "less"))
            if not figures[-1].met:
                sys.stderr.write(f"{name}: {seconds:.2f} s; {bench.imports_of(start)}\n")
            figures.append(Figure(f"{name}, by import torch", seconds / torch, "x"))
        return figures + upstream()


class Cold:
    """A workspace on which every stage has run once, and containers that run one again."""

    def __init__(self, program: engine.Engine, variant: Variant, workspace: Path) -> None:
        self.engine, self.variant, self.workspace = program, variant, workspace

    def prepare(self, recipe: Digits) -> None:
        """Run the recipe, so that each stage has what it reads."""
        (self.workspace / "run.yaml").write_text(recipe.run("--print_config").stdout, encoding="utf-8")
        (self.workspace / "probe").mkdir(mode=0o777)
        (self.workspace / "probe").chmod(0o777)
        shutil.copyfile(first_work.__file__, self.workspace / "probe" / "sitecustomize.py")
        for command in smoke.COMMANDS:
            done = smoke.run_stage(self.engine, self.variant, command, self.workspace)
            if done.returncode:
                raise SystemExit(f"{command} ended with {done.returncode}:\n{done.stdout}")

    def seconds(self, start: Start) -> float:
        """Median of some starts of a stage."""
        environment = {**self._environment(), "FIRST_WORK": start.function, "ESPNET3_FORCE": start.stage}
        return sorted(self._once(start.stage, environment) for _ in range(ROUNDS))[ROUNDS // 2]

    def imports_of(self, start: Start) -> str:
        """Which imports a start spends its time with."""
        environment = {import_profile.VARIABLE: "1", "ESPNET3_FORCE": start.stage}
        done = smoke.run_stage(self.engine, self.variant, start.stage, self.workspace, environment)
        return import_profile.explain(done.stdout)

    def import_torch(self) -> float:
        """Median seconds until torch is imported."""
        return sorted(self._import() for _ in range(ROUNDS))[ROUNDS // 2]

    def _once(self, stage: str, environment: dict[str, str]) -> float:
        done = smoke.run_stage(self.engine, self.variant, stage, self.workspace, environment)
        return self._noted(done)

    def _import(self) -> float:
        words = ("tini", "--", "python", "-c", "import torch, sitecustomize; sitecustomize.note()")
        task = sandbox.Task(words, self.workspace, environment=self._environment())
        return self._noted(sandbox.run(self.engine, self.variant.reference("train"), task))

    def _noted(self, done: sandbox.Done) -> float:
        file = self.workspace / "probe" / "seconds"
        if done.returncode or not file.exists():
            raise SystemExit(f"a cold start failed with exit code {done.returncode}:\n{done.stdout}")
        seconds = float(file.read_text("utf-8"))
        file.unlink()
        return seconds

    def _environment(self) -> dict[str, str]:
        probe = f"{sandbox.MOUNT}/probe"
        return {"PYTHONPATH": probe, "FIRST_WORK_FILE": f"{probe}/seconds"}


def upstream() -> list[Figure]:
    """How long the upstream toolkit takes to import, where it is installed."""
    if importlib.util.find_spec(UPSTREAM.partition(".")[0]) is None:
        return []
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", f"import {UPSTREAM}"], check=True)
    return [Figure(f"import {UPSTREAM}", time.monotonic() - begin, "s")]

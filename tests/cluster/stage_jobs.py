"""Stages as plain Jobs, from `python -m k8s job` to what their pods left; the tests without Argo use it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster import install
from tests.cluster.install import PROFILE, ROOT
from tests.cluster.kube import Cluster, exit_code, until
from tests.egs3.digits_run import FLAGS, Digits

SECONDS = 300
"""How long a stage of the digits recipe may take, with a machine that does other things too."""


LONGER = ("trainer: {max_epochs: 3", "trainer: {max_epochs: 120")
"""An edit of the digits recipe's training after which it can be disturbed: 40 epochs can end before a busy kubectl."""

WRONG = ("num_threads: 1", "num_threads: 1\nbest_model_criterion: [valid/wer, min]")
"""An edit that only the training itself can find wrong: its model reports no such score."""


@dataclass(frozen=True)
class Job:
    """A Job in the cluster."""

    cluster: Cluster
    name: str

    @property
    def selector(self) -> str:
        """Its pods."""
        return f"job-name={self.name}"

    def pods(self) -> list[dict[str, Any]]:
        """Its pods, the first one first."""
        return self.cluster.get("pods", self.selector)

    def over(self) -> str | None:
        """Complete or Failed; None while it runs."""
        conditions = self.cluster.read(f"job/{self.name}")["status"].get("conditions", [])
        kinds = [entry["type"] for entry in conditions if entry["status"] == "True"]
        return next((kind for kind in ("Complete", "Failed") if kind in kinds), None)

    def wait(self, seconds: float = SECONDS) -> str:
        """Wait until it is over; how it ended."""
        return until(self.over, seconds, f"the Job {self.name}")

    def succeed(self, seconds: float = SECONDS) -> None:
        """Wait until it is complete, or show why it is not."""
        assert self.wait(seconds) == "Complete", f"{self.name}:\n{self.logs()}"

    def logs(self) -> str:
        """What its pods print."""
        return self.cluster.kubectl("logs", f"--selector={self.selector}", "--tail=-1", "--prefix=false")

    def exit_codes(self) -> list[int | None]:
        """With what its pods ended."""
        return [exit_code(pod) for pod in self.pods()]


def new(folder: Path, name: str) -> Digits:
    """A copy of digits that the cluster knows by a name of its own: its working directory is <workspace>/<name>/asr."""
    folder.joinpath(name).mkdir(parents=True)
    return Digits.new(folder / name / "asr")


def saved(cluster: Cluster, folder: str) -> bool:
    """Whether training has written a checkpoint in a folder of the workspace."""
    program = f"import pathlib; print(any(pathlib.Path({folder!r}).rglob('*.ckpt')))"
    return install.python(cluster, program).strip() == b"True"


def k8s(command: str, recipe: Digits, *words: str, profile: str = PROFILE) -> str:
    """What `python -m k8s` prints of a copy of digits."""
    configs = [str(recipe.folder / word) if word.endswith(".yaml") else word for word in FLAGS]
    return k8s_of(command, recipe.folder, *words, *configs, profile=profile)


def k8s_of(command: str, folder: Path, *words: str, profile: str = PROFILE, **environment: str) -> str:
    """What `python -m k8s` prints of a recipe."""
    full = [sys.executable, "-m", "k8s", command, str(folder), *words, "--profile", profile]
    done = subprocess.run(
        full, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def start(cluster: Cluster, recipe: Digits, stage: str, profile: str = PROFILE) -> Job:
    """Give the cluster a stage."""
    return start_text(cluster, k8s("job", recipe, stage, profile=profile))


def start_text(cluster: Cluster, text: str) -> Job:
    """Give the cluster a stage that `k8s` printed."""
    names = cluster.kubectl("apply", "--server-side", "--filename=-", "--output=name", stdin=text).split()
    return Job(cluster, next(name.partition("/")[2] for name in names if name.startswith("job.batch/")))


def remove(cluster: Cluster, recipe: Digits, stage: str) -> None:
    """Remove the Job of a stage, where there is one."""
    cluster.kubectl(
        "delete", "--ignore-not-found", "--wait=true", "--filename=-", stdin=k8s("job", recipe, stage), timeout=90
    )


def run(cluster: Cluster, recipe: Digits, stages: list[str], profile: str = PROFILE) -> dict[str, Job]:
    """Run stages one after the other."""
    jobs = {}
    for stage in stages:
        jobs[stage] = start(cluster, recipe, stage, profile)
        jobs[stage].succeed()
    return jobs

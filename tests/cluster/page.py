"""The commands of k8s/README.md as a reader copies them; `test_page` runs them line by line.

What the reader has to put in the place of an example is put there: the namespace, the name of a run, and for the recipe
a copy of digits that is trained in a moment.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.charts import programs
from tests.cluster.argo import program
from tests.cluster.kube import Cluster
from tests.cluster.onenode.places import Places
from tests.egs3.digits_run import CONFIGS, INFERENCE, TRAINING, Digits

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "k8s" / "README.md"
UNTESTED = "◇"
"""Marks a command that needs what there is not here."""
PROGRAMS = ("argo ", "kubectl ", "helm ", "python -m k8s ", "ctr ")


def block() -> list[str]:
    """The lines under "From nothing to a run", without their comments and those that need what there is not here."""
    text = PAGE.read_text(encoding="utf-8").split("```\n")[1]
    return [line.partition("  #")[0].strip() for line in text.splitlines() if UNTESTED not in line]


def rows() -> dict[str, list[str]]:
    """The table of commands: {to do what: the commands}."""
    lines = PAGE.read_text(encoding="utf-8").partition("| to | type |")[2].splitlines()[2:]
    table = [line for line in lines[: lines.index("")] if UNTESTED not in line]
    cells = [re.split(r"(?<!\\)\|", line)[1:3] for line in table]
    return {to.strip(): commands(cell) for to, cell in cells}


def commands(text: str) -> list[str]:
    """The commands of a cell or a paragraph."""
    spans = [span.replace("\\|", "|") for span in re.findall(r"`([^`]+)`", text)]
    return [span for span in spans if span.startswith(PROGRAMS) and span.count(" ") > 1]


def everywhere() -> list[str]:
    """Every command of the page that is not marked as untested here: in blocks, in the table and in the text."""
    text = PAGE.read_text(encoding="utf-8").partition("## What is tested")[0]
    sentences = re.split(r"(?<=[.;:]) |\n\n", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    spoken = [command for part in sentences if UNTESTED not in part for command in commands(part)]
    return [*block(), *spoken]


@dataclass
class Reader:
    """Somebody who types what the page says, in a folder and a namespace of their own."""

    cluster: Cluster
    recipe: Path
    folder: Path
    typed: list[str] = field(default_factory=list)

    def types(self, command: str, run: str = "RUN", seconds: float = 300) -> str:
        """What a command prints.

        Raises:
            AssertionError: it fails.
        """
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", self.filled_in(command, run)],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def starts(self, command: str, run: str = "RUN") -> subprocess.Popen[str]:
        """A command that goes on until it is stopped."""
        words = ["bash", "-c", f"exec {self.filled_in(command, run)}"]
        return subprocess.Popen(words, cwd=self.folder, env=self.environment(), stdout=subprocess.DEVNULL, text=True)

    def filled_in(self, command: str, run: str) -> str:
        """A command with what this reader has in the place of the examples."""
        self.typed.append(command)
        text = re.sub(r"(-n |--namespace |namespace )speech\b", rf"\g<1>{self.cluster.namespace}", command)
        text = re.sub(r"\bRUN\b", run, text)
        for name in ("charts", "k8s/profiles", "build/images"):
            text = re.sub(rf"(?<![\w/.]){name}/", f"{ROOT / name}/", text)
        return text.replace("egs3/digits/asr", str(self.recipe))

    def environment(self) -> dict[str, str]:
        """The programs on PATH, and the cluster."""
        helm = programs.program("helm")
        assert helm is not None, programs.HOW
        folders = [Path(sys.executable).parent, Places().programs, helm.parent, Path(program("argo")).parent]
        path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
        own = {"PATH": path, "PYTHONPATH": str(ROOT), "CONTAINERD_ADDRESS": str(Places().containerd_socket)}
        return {**self.cluster.environment(), **own}


def small(folder: Path) -> Digits:
    """The digits recipe, whose default configs are those of a tiny model."""
    folder.parent.mkdir(parents=True)
    recipe = Digits.new(folder)
    for slot, text in (("training", TRAINING), ("inference", INFERENCE)):
        default = f"conf/{slot}.yaml"
        recipe.write(f"conf/whole_{slot}.yaml", (folder / default).read_text(encoding="utf-8"))
        recipe.write(default, text.replace(f"[{slot},", f"[whole_{slot},"))
        (folder / CONFIGS[slot]).unlink()
    return recipe

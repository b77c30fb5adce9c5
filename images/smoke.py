"""Run the digits recipe with every stage in its own container, and compare what it leaves with a run in one process.

`make smoke` calls it. The recipe is the tests' tiny one, and so is the comparer, which has a rule per kind of file
and leaves nothing out.
"""

import logging
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from images import sandbox
from images.catalog import Variant
from images.engine import Engine
from stages import container_of
from tests.egs3.digits_run import STAGES, Digits
from tests.trees import differences, read_tree

log = logging.getLogger(__name__)
FOLDER = "digits/asr"
COMMANDS = ("plan", *STAGES)


def main(engine: Engine, variant: Variant) -> int:
    """Run the recipe both ways; returns the exit code, 0 where both left the same files."""
    with tempfile.TemporaryDirectory() as scratch:
        recipe, workspace = Digits.new(Path(scratch, "recipe")), make_workspace(Path(scratch, "workspace"))
        (workspace / "run.yaml").write_text(recipe.run("--print_config").stdout, encoding="utf-8")
        for command in COMMANDS:
            done = run_stage(engine, variant, command, workspace)
            if done.returncode:
                log.error("%s ended with %d:\n%s", command, done.returncode, done.stdout)
                return 1
        return compare(recipe, workspace / FOLDER)


def make_workspace(folder: Path) -> Path:
    """A folder that the containers' user may write, as a claim is that the cluster prepares."""
    folder.mkdir()
    folder.parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(folder, sandbox.USER, sandbox.GROUP)
    folder.chmod(0o2775 if os.geteuid() == 0 else 0o2777)
    return folder


def run_stage(
    engine: Engine, variant: Variant, command: str, workspace: Path, more: Mapping[str, str] | None = None
) -> sandbox.Done:
    """Run one stage, or the plan, in its image's container; the log says what it took.

    `more` is added to the environment.
    """
    words = ("tini", "--", "python", "-m", "stages", command, "--config", f"{sandbox.MOUNT}/run.yaml")
    environment = {"ESPNET3_WORKDIR": f"{sandbox.MOUNT}/{FOLDER}", "OMP_NUM_THREADS": "1", **(more or {})}
    image, start = image_of(command), time.monotonic()
    done = sandbox.run(engine, variant.reference(image), sandbox.Task(words, workspace, environment=environment))
    log.info("%s in %s: exit code %d after %.1f s", command, image, done.returncode, time.monotonic() - start)
    return done


def image_of(command: str) -> str:
    """The image that holds what a stage, or the plan, needs."""
    return "data" if command == "plan" else container_of(command).image


def compare(recipe: Digits, place: Path) -> int:
    """Run the recipe in one process and say what is different."""
    start = time.monotonic()
    ran = recipe.run()
    log.info("run.py: exit code %d after %.1f s", ran.returncode, time.monotonic() - start)
    found = differences(*map(read_products, (recipe.folder, place))) if ran.returncode == 0 else [ran.stderr]
    for line in found:
        log.error("%s", line)
    log.info("the trees are %s", "different" if found else "equal")
    return 1 if found else 0


def read_products(folder: Path) -> dict[str, Any]:
    """What a run left; of the logs' heads not the versions, for an image holds less than this machine does."""
    return {name: _without_versions(content) for name, content in read_tree(folder).items()}


def _without_versions(content: Any) -> Any:
    lines = isinstance(content, list) and all(isinstance(line, str) for line in content)
    return [line for line in content if not line.startswith("versions: ")] if lines else content

"""Run the digits recipe with every stage in its own container, and compare what it leaves with a run in one process.

`make smoke` calls it. The recipe is the tests' tiny one, and so is the comparer, which has a rule per kind of file
and leaves nothing out. What the upload stages publish goes to the tests' Hub, which listens on loopback alone.
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
from tests.egs3.digits_run import ALL_STAGES, Digits, Done
from tests.egs3.published import unpublished
from tests.hub.server import HubServer, serving
from tests.trees import differences, read_tree

log = logging.getLogger(__name__)
FOLDER = "digits/asr"
COMMANDS = ("plan", *ALL_STAGES)
UPLOADS = ("upload_model", "upload_demo")


def main(engine: Engine, variant: Variant) -> int:
    """Run the recipe both ways; returns the exit code, 0 where both left the same files."""
    with tempfile.TemporaryDirectory() as scratch, serving() as hub:
        recipe, workspace = Digits.new(Path(scratch, "recipe")), make_workspace(Path(scratch, "workspace"))
        recipe.publish()
        (workspace / "run.yaml").write_text(recipe.run("--print_config").stdout, encoding="utf-8")
        for command in COMMANDS:
            done = run_stage(engine, variant, command, workspace, to_reach(hub) if command in UPLOADS else None)
            if done.returncode:
                log.error("%s ended with %d:\n%s", command, done.returncode, done.stdout)
                return 1
        lost = unpublished(hub, workspace / FOLDER / "exp/tiny")
        hub.reset()
        ran = run_in_one_process(recipe, hub)
        told = [f"the Hub does not hold {folder} as it is in the workspace" for folder in lost]
        return report([*told, *compare(recipe, ran, workspace / FOLDER)])


def to_reach(hub: HubServer) -> dict[str, str]:
    """The environment in which a stage uploads to this Hub, whatever proxy the machine has."""
    here = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1")
    return {"HF_ENDPOINT": hub.address, "HF_TOKEN": "hf_writer", "HF_HUB_DISABLE_XET": "1", **here}


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

    `more` is added to the environment. Only stages that upload have a network.
    """
    words = ("tini", "--", "python", "-m", "stages", command, "--config", f"{sandbox.MOUNT}/run.yaml")
    environment = {"ESPNET3_WORKDIR": f"{sandbox.MOUNT}/{FOLDER}", "OMP_NUM_THREADS": "1", **(more or {})}
    image, start = image_of(command), time.monotonic()
    task = sandbox.Task(words, workspace, environment=environment, network=command in UPLOADS)
    done = sandbox.run(engine, variant.reference(image), task)
    log.info("%s in %s: exit code %d after %.1f s", command, image, done.returncode, time.monotonic() - start)
    return done


def image_of(command: str) -> str:
    """The image that holds what a stage, or the plan, needs."""
    return "data" if command == "plan" else container_of(command).image


def run_in_one_process(recipe: Digits, hub: HubServer) -> Done:
    """The same stages by run.py."""
    os.environ.update(to_reach(hub))
    start = time.monotonic()
    ran = recipe.run()
    log.info("run.py: exit code %d after %.1f s", ran.returncode, time.monotonic() - start)
    return ran


def compare(recipe: Digits, ran: Done, place: Path) -> list[str]:
    """What differs between the two trees."""
    return differences(*map(read_products, (recipe.folder, place))) if ran.returncode == 0 else [ran.stderr]


def report(found: list[str]) -> int:
    """Say what is different; returns the exit code."""
    for line in found:
        log.error("%s", line)
    because = "different; if the project changed since `make images`, that is why: build them again"
    log.info("the trees are %s", because if found else "equal")
    return 1 if found else 0


def read_products(folder: Path) -> dict[str, Any]:
    """What a run left; of the logs' heads not the versions, for an image holds less than this machine does."""
    return {name: _without_versions(content) for name, content in read_tree(folder).items()}


def _without_versions(content: Any) -> Any:
    lines = isinstance(content, list) and all(isinstance(line, str) for line in content)
    return [line for line in content if not line.startswith("versions: ")] if lines else content

"""What `docker` of the README's lines is where only buildah works: the same options, given to the smoke run's sandbox.

`python -m tests.images.docker run …` knows the options that the README uses and no others, so that a line with a new
one fails here. Images are not loaded: buildah, which built them, has them.
"""

import argparse
import sys
from pathlib import Path

from images import sandbox
from images.engine import Engine


def parser() -> argparse.ArgumentParser:
    """The options of `docker run` that the README uses."""
    parser = argparse.ArgumentParser(prog="docker run", allow_abbrev=False)
    for flag in ("--rm", "--read-only"):
        parser.add_argument(flag, action="store_true")
    for option, only in {"--cap-drop": "ALL", "--security-opt": "no-new-privileges", "--tmpfs": "/tmp"}.items():
        parser.add_argument(option, choices=[only])
    parser.add_argument("--network", choices=["none"])
    parser.add_argument("--shm-size")
    parser.add_argument("--volume", required=True)
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("stage")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def run(words: list[str]) -> int:
    """Run a stage's container as the line says; returns its exit code."""
    said = parser().parse_args(words)
    workspace, _, mount = said.volume.partition(":")
    assert mount == sandbox.MOUNT
    command = ("tini", "--", "python", "-m", "stages", said.stage, *said.arguments)
    task = sandbox.Task(command, Path(workspace), environment=dict(pair.split("=", 1) for pair in said.env))
    done = sandbox.run(Engine("buildah"), said.image, task)
    sys.stdout.write(done.stdout)
    return done.returncode


if __name__ == "__main__":
    if sys.argv[1] == "load":
        sys.exit(0 if Path(sys.argv[-1]).exists() else 1)
    sys.exit(run(sys.argv[2:]))

"""Typing what a README says, as its reader would: the shell lines of a section, in a folder of the test's own."""

import os
import subprocess
import sys
from pathlib import Path


def lines_of(readme: str, heading: str) -> str:
    """The first block of lines after a heading."""
    return readme.partition(heading)[2].split("```")[1]


def type_lines(lines: str, folder: Path, *programs: Path) -> "subprocess.CompletedProcess[str]":
    """Run lines in bash, which stops at the first that fails; `programs` and the tests' Python come first on PATH."""
    places = [*map(str, programs), str(Path(sys.executable).parent), os.environ["PATH"]]
    env = os.environ | {"PATH": os.pathsep.join(places)}
    return subprocess.run(["bash", "-euc", lines], cwd=folder, env=env, capture_output=True, text=True, check=False)

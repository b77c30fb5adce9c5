"""A reader that goes away ends a program quietly, whatever it was writing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from espnet3.runtime.streams import READER_GONE
from tests.recipe.toy_recipe import ROOT, Recipe

TALKATIVE = """
    def infer(self):
        import logging
        import time

        for number in range(3000):
            logging.getLogger("toy").info("line %d", number)
            time.sleep(0.001)
        Path("got-to-the-end").touch()
"""


def piped(command: list[str], reader: str, folder: Path) -> tuple[int, str]:
    """The writer's exit code and what it says on stderr."""
    read, write = os.pipe()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=folder, stdout=write, stderr=subprocess.PIPE, text=True, env=environment
    ) as writer:
        with subprocess.Popen(reader, shell=True, stdin=read, stdout=subprocess.DEVNULL):
            os.close(write)
            os.close(read)
        assert writer.stderr is not None
        said = writer.stderr.read()
    return writer.returncode, said


READERS = ["true", "head -1", "head -c 10"]
COMMANDS = {
    "run.py --help": ["run.py", "--help"],
    "run.py --print_config": ["run.py", "--print_config"],
    "run.py --dry_run": ["run.py", "--dry_run"],
    "run.py": ["run.py", "--stages", "create_dataset", "collect_stats"],
    "stages --help": ["-m", "stages", "--help"],
    "k8s --help": ["-m", "k8s", "--help"],
    "transcribe --help": ["-m", "espnet3.transcribe", "--help"],
    "a stage": ["-m", "stages", "create_dataset", "--config", "run.yaml"],
    "plan": ["-m", "stages", "plan", "--config", "run.yaml"],
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_ends_quietly(recipe: Recipe, command: str, reader: str) -> None:
    (recipe.folder / "run.yaml").write_text(recipe.run("--print_config").stdout)
    code, said = piped([sys.executable, *COMMANDS[command]], reader, recipe.folder)
    assert (code in {0, 1, READER_GONE}, said) == (True, "")


@pytest.mark.parametrize(
    "command", [["run.py", "--stages", "infer", "--force"], ["-m", "stages", "infer", "--config", "run.yaml"]]
)
def test_a_stage_that_logs_ends_where_its_reader_goes(recipe: Recipe, command: list[str]) -> None:
    recipe.run()
    (recipe.folder / "src/system.py").write_text(
        (recipe.folder / "src/system.py")
        .read_text()
        .replace("\n    def infer(self):", TALKATIVE.replace("infer", "infer", 1) + "\n    def infer_quietly(self):")
    )
    (recipe.folder / "run.yaml").write_text(recipe.run("--print_config").stdout)
    code, said = piped([sys.executable, *command], "head -60", recipe.folder)
    assert (code, said) == (READER_GONE, "")
    assert not (recipe.folder / "got-to-the-end").exists()


def test_another_broken_pipe_is_told_as_what_it_is(recipe: Recipe) -> None:
    recipe.edit(
        "src/system.py", "        scores = {", "        raise BrokenPipeError(32, 'Broken pipe')\n        scores = {"
    )
    done = recipe.run_alone()
    assert done.returncode == 1
    assert "BrokenPipeError" in done.stderr

"""The README's tables say what the code does: flags, exit codes, stages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from espnet3 import errors
from espnet3.pipeline.run import stages_of
from espnet3.runtime.streams import READER_GONE
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.base.config import TrainingConfig
from stages._environment import VARIABLES
from tests.readmes import lines_of, type_lines

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
READMES = [
    ROOT / "README.md",
    *ROOT.glob("*/README.md"),
    *ROOT.glob("egs3/*/*/README.md"),
]


def rows(header: str) -> list[str]:
    """First cells of the table whose first header is `header`."""
    table = README.partition(f"| {header} |")[2].partition("\n\n")[0]
    return [line.split("|")[1].strip() for line in table.splitlines()[2:]]


def test_the_flags_are_those_of_run_py() -> None:
    run = [sys.executable, str(ROOT / "egs3" / "digits" / "asr" / "run.py"), "--help"]
    said = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"--\w+", said)) - {"--help"}
    assert {cell.strip("`") for cell in rows("flag")} == flags


def test_the_exit_codes_are_those_of_the_errors() -> None:
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.Espnet3Error)
    }
    assert {int(cell) for cell in rows("exit code")} == codes | {0, READER_GONE}


def test_the_stages_are_those_of_the_asr_system() -> None:
    named = {stage for cell in rows("stage") for stage in re.findall(r"`(\w+)`", cell)}
    assert named == set(stages_of(ASRSystem))


def test_the_settings_of_a_training_are_taken() -> None:
    table = README.partition("| to | in `conf/training.yaml` |")[2].partition("\n\n")[0]
    shown = re.findall(r"\| `([^`]+)`[^|]*\|$", table, re.MULTILINE)
    assert len(shown) == len(table.splitlines()[2:])
    config = yaml.safe_load((ROOT / "egs3" / "digits" / "asr" / "conf" / "training.yaml").read_text(encoding="utf-8"))
    for text in shown:
        TrainingConfig.model_validate(config | yaml.safe_load(text))


@pytest.mark.parametrize("readme", READMES, ids=lambda path: str(path.relative_to(ROOT)))
def test_who_types_python_is_told_which(readme: Path) -> None:
    text = readme.read_text(encoding="utf-8")
    first = re.search(r"^\(?(cd \S+ && )?python |`python ", text, re.MULTILINE)
    if first is not None:
        assert "source .venv/bin/activate" in text[: first.start()]


def test_the_variables_are_those_of_the_stages() -> None:
    table = README.partition("| variable |")[2].partition("\n\n")[0]
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE)) == VARIABLES


@pytest.mark.slow
def test_running_a_stage_alone_works_as_it_stands_there(tmp_path: Path) -> None:
    (tmp_path / "egs3").symlink_to(ROOT / "egs3")
    done = type_lines(lines_of(README, "## Run a stage alone"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "DONE collect_stats" in done.stdout
    (stats,) = tmp_path.glob("work/data/stats/*/train/feats_stats.npz")
    assert not (stats.parents[1] / ".unfinished").exists()

"""Of two runs of a stage in one directory, the earlier one leaves no record on the other's files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# One process a run: `name seconds-of-imports seconds-of-work ends`, as a stage is: imports, then the lease, then files.
RUN = """\
import os, sys, time
from pathlib import Path
from omegaconf import OmegaConf
from espnet3.pipeline.code import Code
from espnet3.pipeline.plan import decide
from espnet3.pipeline.run import run_decision
from espnet3.pipeline.spec import StageSpec
from espnet3.runtime.files import write_text
from espnet3.runtime.leases import lease
from espnet3.systems.base.system import BaseSystem

name, imports, work, ends = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
SPEC = StageSpec(
    slots=("training_config",),
    log_dir="training_config.exp_dir",
    reads=("training_config.lr",),
    outputs=("{training_config.exp_dir}/one", "{training_config.exp_dir}/two"),
)

class Makes(BaseSystem):
    stage_specs = {"make": SPEC}

    def make(self):
        time.sleep(imports)
        with lease("exp"):
            write_text("exp/one", name)
            time.sleep(work)
            if ends == "killed":
                os._exit(9)
            write_text("exp/two", name)

system = Makes(training_config=OmegaConf.create({"exp_dir": "exp", "lr": name}))
decision = decide(system, Code(Path(), {}), "make")
if ends == "asked":
    sys.stdout.write("done" if decision.done else "; ".join(decision.reasons))
else:
    run_decision(system, decision)
"""


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", RUN, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )


def reasons(folder: Path, name: str) -> str:
    return start(folder, name, "0", "0", "asked").communicate()[0]


def begun(folder: Path) -> bool:
    return (folder / "exp/.done/.lease.make").exists()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(("1.0", "0", "well"), ("2.0", "0", "killed"), id="the first ends, then the second is killed"),
        pytest.param(("0", "2.0", "well"), ("0.5", "0", "killed"), id="the second is killed while the first works"),
        pytest.param(("3.0", "0", "well"), ("0", "0", "well"), id="the first begins when the second has ended"),
        pytest.param(("0", "1.5", "well"), ("0.2", "0", "well"), id="the second ends while the first works"),
    ],
)
def test_no_run_is_done_with_files_of_another(
    tmp_path: Path, first: tuple[str, str, str], second: tuple[str, str, str]
) -> None:
    one = start(tmp_path, "a", *first)
    while not begun(tmp_path) and one.poll() is None:
        pass
    other = start(tmp_path, "b", *second)
    said = [process.communicate()[0] for process in (one, other)]
    files = {
        name: (tmp_path / "exp" / name).read_text() for name in ("one", "two") if (tmp_path / "exp" / name).exists()
    }
    for name in ("a", "b"):
        if reasons(tmp_path, name) == "done":
            assert files == {"one": name, "two": name}, said
    if second[2] == "well":
        assert (other.returncode, reasons(tmp_path, "b")) == (0, "done"), said
        assert one.returncode != 0
        assert "now belongs to another run" in said[0]
    else:
        assert not list((tmp_path / "exp/.done").glob("*.json")), "what was killed leaves no record"


def test_a_run_leaves_a_record_that_says_what_it_wrote(tmp_path: Path) -> None:
    run = start(tmp_path, "a", "0", "0", "well")
    assert (run.communicate()[0].count("DONE make"), run.returncode) == (1, 0)
    record = json.loads((tmp_path / "exp/.done/make.json").read_text())
    assert {path: content["size"] for path, content in record["outputs"].items()} == {"exp/one": 1, "exp/two": 1}
    assert reasons(tmp_path, "a") == "done"
    assert reasons(tmp_path, "b") == 'lr: "a" → "b"'
    (tmp_path / "exp/two").write_text("b")
    assert reasons(tmp_path, "a").startswith("exp/two is not as make left it (sha256 ")

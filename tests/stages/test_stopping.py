"""A stage that is asked to stop ends with 75 at any moment, leaves no process behind, and goes on when run again."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from espnet3.errors import TryAgain
from espnet3.runtime.processes import STOPPED, parents_of_all
from tests.chaos.volume import Undisturbed
from tests.egs3.digits_run import STAGES
from tests.stages.conftest import Place

SLEEPS = """\
        import subprocess
        import sys
        import time
        from pathlib import Path
        code = "import subprocess, time; subprocess.Popen(['sleep', '98765']); time.sleep(98765)"
        child = subprocess.Popen([sys.executable, "-c", code])
        Path("child").write_text(str(child.pid))
        time.sleep(98765)
"""
ORPHANS = """\
        import os
        import subprocess
        import time
        subprocess.run(["sh", "-c", "(sleep 0.2; exit 3) & (sleep 0.1) &"])
        time.sleep(0.6)
        states = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                states.append(open(f"/proc/{name}/stat").read().rpartition(")")[2].split()[0])
        print("processes", len(states), "zombies", states.count("Z"), "mine", os.getpid())
"""


def with_export(place: Place, body: str) -> None:
    """Let the stage `export` do something else."""
    place.recipe.edit("src/system.py", "        from src.parts import words\n", body)
    place.recipe.edit("src/system.py", '        self._write(f"exported-{words()}")\n', "")
    place.write_config()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def wait_until_it_listens(process: subprocess.Popen[str]) -> None:
    """Until Python itself has started, SIGTERM ends it the kernel's way: a busy machine needs a while for that."""
    deadline = time.monotonic() + 60
    while process.poll() is None and not catches(process.pid, signal.SIGTERM):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def catches(pid: int, number: signal.Signals) -> bool:
    (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_the_code_is_that_of_another_try() -> None:
    assert TryAgain.exit_code == STOPPED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_with_its_children_and_says_so(place: Place, number: signal.Signals) -> None:
    with_export(place, SLEEPS)
    process = place.start("stages", "export", ESPNET3_OUTCOME_FILE="outcome.json", ESPNET3_TERMINATION_LOG="message")
    wait_for(place.folder / "child")
    child = int((place.folder / "child").read_text())
    time.sleep(0.5)
    children = [pid for pid, parent in parents_of_all().items() if parent == child]
    assert len(children) == 1
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 75
    assert err.endswith(f"export was asked to stop ({number.name}) and stopped; run again, it goes on from here\n")
    assert "Traceback" not in err
    outcome = json.loads((place.folder / "outcome.json").read_text())
    assert (outcome["status"], outcome["exit_code"]) == ("stopped", 75)
    assert "asked to stop" in (place.folder / "message").read_text()
    time.sleep(0.2)
    assert [pid for pid in (child, *children) if alive(pid)] == []


@pytest.mark.parametrize("seed", range(6))
def test_asked_at_any_moment_it_exits_with_75_or_is_done(place: Place, seed: int) -> None:
    """From its first line on; before, Python itself starts, and the signal kills it."""
    process = place.start("stages.create_dataset", before=(sys.executable, "-c", WHEN_BEGUN))
    assert process.stdout
    assert process.stdout.readline() == "begun\n"
    time.sleep(random.Random(seed).uniform(0.0, 0.6))
    process.send_signal(signal.SIGINT if seed % 2 else signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode in (75, 0)
    assert "Traceback" not in err
    assert place.run("create_dataset").code == 0
    assert "already done" in place.run("create_dataset").out


WHEN_BEGUN = """\
import os, runpy, sys
sys.orig_argv, sys.argv = sys.argv, ["-m", *sys.argv[4:]]
import stages
print("begun", flush=True)
sys.argv[0] = "stages"
runpy.run_module("stages.create_dataset", run_name="__main__", alter_sys=True)
"""
"""What `python -m stages.create_dataset` does, telling when the handler is there."""


def test_importing_the_package_leaves_signals_alone() -> None:
    code = (
        "import signal, stages, stages.train; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, "
        "signal.getsignal(signal.SIGINT) == signal.default_int_handler)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def in_own_pids() -> bool:
    try:
        return subprocess.run(["unshare", *OWN_PIDS, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


OWN_PIDS = ("--pid", "--fork", "--mount-proc", "--kill-child")
needs_own_pids = pytest.mark.skipif(not in_own_pids(), reason="this user may not make a PID namespace")


@needs_own_pids
def test_as_pid_1_it_reaps_orphans(place: Place) -> None:
    with_export(place, ORPHANS)
    process = place.start("stages", "export", before=("unshare", *OWN_PIDS))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "processes 2 zombies 0 mine 2" in out


@needs_own_pids
@pytest.mark.parametrize(("body", "code"), [("        raise SystemExit(3)\n", 3), ("        os.kill(2, 9)\n", 137)])
def test_as_pid_1_it_ends_as_the_stage_ends(place: Place, body: str, code: int) -> None:
    with_export(place, f"        import os\n{body}")
    process = place.start("stages", "export", before=("unshare", *OWN_PIDS))
    process.communicate(timeout=60)
    assert process.returncode == code


@needs_own_pids
def test_as_pid_1_it_hands_on_the_signal(place: Place) -> None:
    with_export(place, SLEEPS)
    process = place.start("stages", "export", before=("unshare", *OWN_PIDS))
    wait_for(place.folder / "child")
    (first,) = [pid for pid, parent in parents_of_all().items() if parent == process.pid]
    os.kill(first, signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 75
    assert "asked to stop" in err


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_of_digits_that_was_stopped_goes_on_to_the_same_files(
    undisturbed_stages: Undisturbed, tmp_path: Path, stage: str
) -> None:
    """Three times at moments over all of its life, imports among them; then to the end."""
    volume = undisturbed_stages.before(stage).copy(tmp_path / "volume")
    moments = random.Random(stage)
    for _ in range(3):
        process = volume.start(stage)
        wait_until_it_listens(process)
        time.sleep(moments.uniform(0, undisturbed_stages.seconds[stage]))
        process.terminate()
        said, _ = process.communicate(timeout=20)
        assert process.returncode in (75, 0), said
    code, said = volume.run(stage)
    assert code == 0, said
    assert volume.differs_from(undisturbed_stages.after[stage]) == []

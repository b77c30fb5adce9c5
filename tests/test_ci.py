"""How `.ci/run` spends its time: which steps run and which do not, with clock, `make` and `timeout` of the tests' own.

Only what stops a step for real is tested with the real `timeout`.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).parent.parent
FAST = {"setup": 50, "check": 30, "tools": 208, "images": 289, "test": 570, "demo": 43, "smoke": 27, "cluster": 500}
FAST |= {"cluster-test": 700, "cluster-down": 20}
RANGES = FAST | {"test": 755, "cluster": 900, "cluster-test": 850}
"""Seconds on a fast machine: what is usual, and the most that was seen."""
FIRST = ["setup", "check", "tools"]
THEN = ["test", "demo", "check"]
WITH_CLUSTER = ["smoke", "cluster", "cluster-test", "cluster-down"]
LONGEST = 70 * 60

CLOCK = '#!/bin/sh\nexec cat "$FAKE/clock"\n'
USER = '#!/bin/sh\ncat "$FAKE/user"\n'
MAKE = """#!/bin/sh
echo "$1" >> "$FAKE/made"
read -r seconds code < "$FAKE/$1"
echo $(($(cat "$FAKE/clock") + seconds)) > "$FAKE/clock"
exit "$code"
"""
TIMEOUT = """#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
read -r seconds code < "$FAKE/$3"
if [ "$seconds" -le "$1" ]; then exec make "$3"; fi
echo "$3" >> "$FAKE/made"
echo $(($(cat "$FAKE/clock") + $1)) > "$FAKE/clock"
if [ -e "$FAKE/report" ]; then mkdir -p build; cp "$FAKE/report" "${PYTEST_ADDOPTS#--junitxml=}"; fi
exit 124
"""
SLOW_MAKE = """#!/bin/sh
echo "$1" >> "$FAKE/made"
read -r seconds code < "$FAKE/$1"
if [ "$code" = hangs ]; then exec python3 -c 'import os, pathlib, sys, time
try: pathlib.Path(os.environ["FAKE"], "hangs").touch(); time.sleep(60)
except KeyboardInterrupt: print("cleaned up"); sys.exit(3)'; fi
echo $(($(cat "$FAKE/clock") + seconds)) > "$FAKE/clock"
exit "$code"
"""


class Machine:
    """A copy of `.ci/run` in a folder of its own, and the programs that it calls; a file says how long a step takes."""

    def __init__(self, folder: Path, root: bool = True) -> None:
        self.folder, self.fake = folder, folder / "fake"
        self.script = folder / ".ci" / "run"
        self.script.parent.mkdir(parents=True)
        self.script.write_text((ROOT / ".ci" / "run").read_text(encoding="utf-8"), encoding="utf-8")
        self.fake.mkdir()
        (self.fake / "clock").write_text("1000000\n")
        (self.fake / "user").write_text("0\n" if root else "1000\n")
        for name, text in {"date": CLOCK, "id": USER, "make": MAKE, "timeout": TIMEOUT}.items():
            self.program(name, text)

    def program(self, name: str, text: str) -> None:
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def steps(self, seconds: Mapping[str, float], failing: str = "", how: str = "2") -> None:
        for step, long in seconds.items():
            (self.fake / step).write_text(f"{round(long)} {how if step == failing else 0}\n")

    def start(self) -> "subprocess.Popen[str]":
        env = os.environ | {"FAKE": str(self.fake), "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}"}
        return subprocess.Popen(
            ["bash", self.script], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run(self) -> tuple[int, str]:
        process = self.start()
        said = process.communicate(timeout=60)[0]
        return process.returncode, said

    @property
    def made(self) -> list[str]:
        file = self.fake / "made"
        return file.read_text().split() if file.exists() else []

    @property
    def passed(self) -> int:
        return int((self.fake / "clock").read_text()) - 1000000


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def slower(times: float, **changed: float) -> dict[str, float]:
    return {step: long * times for step, long in (FAST | changed).items()}


def test_a_fast_machine_runs_everything(machine: Machine) -> None:
    machine.steps(FAST)
    code, said = machine.run()
    assert (code, machine.made) == (0, [*FIRST, "images", *THEN, *WITH_CLUSTER])
    assert "left out" not in said
    assert re.findall(r"^(\d+) s  make (.+)$", said, re.MULTILINE) == [
        (str(FAST[step]), step) for step in machine.made[:-1]
    ]


CLUSTER = "make cluster cluster-test: takes about"
MACHINES = {
    "a little slower": (slower(1.4), ["images", *WITH_CLUSTER], []),
    "twice as slow": (slower(2), ["images", "smoke"], [CLUSTER]),
    "the slowest": (slower(2.5), ["images", "smoke"], [CLUSTER]),
    "slower than any": (
        slower(3, test=755),
        [],
        ["make images: takes about", "make smoke cluster cluster-test: need the images"],
    ),
    "slow, with a part of the work done before": (slower(2.5, setup=0.4, tools=0.4), ["images", "smoke"], [CLUSTER]),
    "at the end of a slow line": (slower(1, setup=900), ["images", *WITH_CLUSTER], []),
}


@pytest.mark.parametrize(("seconds", "optional", "left_out"), MACHINES.values(), ids=MACHINES)
def test_a_slower_machine_leaves_out_what_does_not_fit(
    machine: Machine, seconds: dict[str, float], optional: list[str], left_out: list[str]
) -> None:
    machine.steps(seconds)
    code, said = machine.run()
    images, rest = [step for step in optional if step == "images"], [step for step in optional if step != "images"]
    assert (code, machine.made) == (0, [*FIRST, *images, *THEN, *rest]), said
    lines = re.findall(r"^left out: (.+)$", said, re.MULTILINE)
    assert [line[: len(begin)] for line, begin in zip(lines, left_out, strict=True)] == left_out
    for needed, left in re.findall(r"takes about (\d+) s on this machine, and (\d+) s are left for it", said):
        assert int(needed) > int(left)
    assert machine.passed <= LONGEST


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_machine_ends_in_time_with_what_is_essential(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    times = data.draw(st.floats(0.5, 2.5))
    machine.steps({step: times * data.draw(st.floats(0.5, 1)) * most for step, most in RANGES.items()})
    code, said = machine.run()
    assert code == 0, said
    assert [step for step in machine.made if step in {*FIRST, *THEN}] == [*FIRST, *THEN]
    assert machine.passed <= LONGEST
    assert ("cluster" in machine.made) == ("cluster-down" in machine.made)


@pytest.mark.parametrize("failing", [*FIRST, "images", *THEN, "smoke", "cluster", "cluster-test"])
def test_a_step_that_fails_ends_the_run(machine: Machine, failing: str) -> None:
    machine.steps(FAST, failing)
    code, said = machine.run()
    assert code == 2
    assert [step for step in machine.made if step != "cluster-down"][-1] == failing
    assert ("cluster" in machine.made) == ("cluster-down" in machine.made)
    assert f"s  make {failing}" in said, "its seconds are told, too"


def test_a_cluster_that_does_not_go_down_fails_the_run(machine: Machine) -> None:
    machine.steps(FAST, "cluster-down")
    assert machine.run()[0] == 1


@pytest.mark.parametrize(
    ("changed", "made", "line"),
    [
        ({"cluster-test": 5000}, WITH_CLUSTER, "make cluster-test: stopped, for its time was over"),
        ({"cluster": 5000}, ["smoke", "cluster", "cluster-down"], "make cluster: stopped, for its time was over"),
        ({"images": 5000}, [], "make images: stopped, for its time was over"),
    ],
    ids=["tests", "cluster", "images"],
)
def test_an_optional_step_that_goes_on_too_long_is_stopped_and_is_no_failure(
    machine: Machine, changed: dict[str, float], made: list[str], line: str
) -> None:
    machine.steps(FAST | changed)
    code, said = machine.run()
    assert (code, machine.made) == (0, [*FIRST, "images", *THEN, *made])
    assert f"left out: {line}" in said
    assert machine.passed <= LONGEST


@pytest.mark.parametrize(
    ("report", "code"),
    [('<testsuite errors="0"><testcase/></testsuite>', 0), ("<failure>", 1), ('<error message="a">', 1)],
)
def test_a_stopped_step_fails_where_a_test_had_failed(machine: Machine, report: str, code: int) -> None:
    machine.steps(FAST | {"cluster-test": 5000})
    (machine.fake / "report").write_text(report)
    assert machine.run()[0] == code


def test_what_is_essential_is_stopped_at_the_end_alone_and_then_fails(machine: Machine) -> None:
    machine.steps(FAST | {"test": 3800})
    code, said = machine.run()
    assert (code, machine.made[-1]) == (1, "test")
    assert "make test is essential and did not end within 65 minutes" in said
    assert machine.passed <= LONGEST


def test_who_is_not_root_makes_no_containers(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=False)
    machine.steps(FAST)
    assert machine.run()[0] == 0
    assert machine.made == [*FIRST, *THEN]


def wait_for(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not done():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_step_is_stopped_as_by_ctrl_c(machine: Machine) -> None:
    """By the real timeout, so that pytest takes down what its fixtures have set up."""
    (machine.folder / "bin" / "timeout").unlink()
    machine.program("make", SLOW_MAKE)
    machine.steps(FAST | {"test": 65 * 60 - sum(FAST[step] for step in [*FIRST, "images"]) - 1}, "demo", "hangs")
    code, said = machine.run()
    assert (code, machine.made[-1]) == (1, "demo")
    assert "cleaned up" in said
    assert "make demo is essential" in said


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_who_stops_the_run_stops_its_step_and_the_cluster(machine: Machine, by: signal.Signals) -> None:
    (machine.folder / "bin" / "timeout").unlink()
    machine.program("make", SLOW_MAKE)
    machine.steps(FAST, "cluster-test", "hangs")
    process = machine.start()
    wait_for((machine.fake / "hangs").exists)
    process.send_signal(by)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 130
    assert machine.made[-1] == "cluster-down"
    assert "cleaned up" in said

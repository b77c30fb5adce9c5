import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from espnet3.runtime import progress
from espnet3.runtime.progress import track


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(progress, "_reported_at", float("-inf"))
    return clock


def slow(clock: Clock, count: int) -> Iterator[int]:
    for item in range(count):
        clock.now += 4
        yield item


@pytest.mark.parametrize(
    ("total", "lines"),
    [
        (6, ["statistics: 3/6 (50%), 0.25/s, 12 s left", "statistics: 6/6 (100%), 0.25/s, 0 s left"]),
        (None, ["statistics: 3, 0.25/s", "statistics: 6, 0.25/s"]),
    ],
    ids=["with total", "without"],
)
def test_a_line_about_every_ten_seconds(
    clock: Clock, caplog: pytest.LogCaptureFixture, total: int | None, lines: list[str]
) -> None:
    caplog.set_level(logging.INFO)
    assert list(track(slow(clock, 6), total=total, label="statistics")) == list(range(6))
    assert caplog.messages == lines


def test_short_loops_say_nothing(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert list(track([1, 2], total=2, label="statistics")) == [1, 2]
    assert list(track([], total=0)) == []
    assert caplog.messages == []


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert list(track(range(3), total=3, label="statistics")) == [0, 1, 2]
    assert "statistics" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("within", "seen"),
    [(None, ["1/4", "2/4", "3/4", "4/4"]), ((8, 12), ["9/12", "10/12", "11/12", "12/12"])],
    ids=["alone", "a part"],
)
def test_a_workflow_is_told_how_far_it_is(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: tuple[int, int] | None, seen: list[str]
) -> None:
    file = tmp_path / "progress"
    monkeypatch.setenv("ARGO_PROGRESS_FILE", str(file))
    read = []
    for _ in track(slow(clock, 4), total=4, within=within):
        read.append(file.read_text() if file.exists() else None)  # noqa: PERF401
    assert [*read, file.read_text()] == [None, *seen]
    assert list(tmp_path.iterdir()) == [file]


def test_quick_items_are_not_each_written_down(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "progress"
    monkeypatch.setenv("ARGO_PROGRESS_FILE", str(file))
    read = [file.read_text() for number in track(range(9), total=9) if number]
    assert read == ["1/9"] * 8
    assert file.read_text() == "9/9"


def test_a_progress_file_that_cannot_be_written_stops_nothing(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_PROGRESS_FILE", str(tmp_path / "nowhere/progress"))
    assert list(track(range(3), total=3)) == [0, 1, 2]

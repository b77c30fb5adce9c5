"""Spreading work: the same results however it is spread, and no work lost or mixed up when something dies."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from espnet3.errors import DataError, LostLease, TryAgain
from espnet3.parallel.runner import Runner, kept_folder
from espnet3.parallel.sharded import run_shard
from espnet3.parallel.threads import threads_each
from espnet3.pipeline.shard import Shard, sharding
from espnet3.runtime.leases import lease
from tests.parallel.squares import Squares, UnpicklableError

SQUARES = [number**2 for number in range(10)]


def runner(folder: Path, fingerprint: str = "f" * 64, workers: int = 1, **work: object) -> Runner:
    provider = Squares(folder / "diary", **work)  # type: ignore[arg-type]
    return Runner(provider, folder / "kept", fingerprint, workers=workers)


def done(work: Runner, shards: int) -> list[int]:
    """The results of all items, after the whole was done as a stage does it."""
    assert run_shard([work], shards, work.folder)
    return flat(work.results())


def merged(work: Runner, shards: int) -> list[int]:
    """The results of all items, put together as a stage does it after its shards."""
    with sharding(Shard(shards)):
        return done(work, shards)


def flat(results: list[list[int]]) -> list[int]:
    return [value for result in results for value in result]


def diary(folder: Path) -> list[int]:
    file = folder / "diary"
    return [int(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 10, 40])
def test_results_are_in_order_for_any_number_of_shards(tmp_path: Path, shards: int) -> None:
    assert done(runner(tmp_path, size=3), shards) == SQUARES
    assert sorted(diary(tmp_path)) == list(range(10))


def test_results_come_from_several_processes(tmp_path: Path) -> None:
    assert done(runner(tmp_path, workers=2, seconds=0.1), 4) == SQUARES
    processes = {line.split()[1] for line in (tmp_path / "diary").read_text().splitlines()}
    assert len(processes) == 2
    assert str(os.getpid()) not in processes


def test_no_items_make_no_batches(tmp_path: Path) -> None:
    assert done(runner(tmp_path, count=0), 3) == []


def test_shards_cost_about_the_same(tmp_path: Path) -> None:
    work = runner(tmp_path, count=100)
    for shard in range(4):
        work.run_shard(shard, 4)
        assert sum(diary(tmp_path)) == pytest.approx((shard + 1) * 99 * 100 / 8, rel=0.05)


def test_shards_can_be_run_one_by_one_in_any_order_and_merged(tmp_path: Path) -> None:
    for shard in (2, 0, 1):
        runner(tmp_path).run_shard(shard, 3)
    assert merged(runner(tmp_path), 3) == SQUARES


def test_merge_names_the_missing_shards(tmp_path: Path) -> None:
    runner(tmp_path).run_shard(1, 4)
    with pytest.raises(TryAgain, match=r"Of 4 shards .* 0, 2, 3\. Run them"):
        merged(runner(tmp_path), 4)


@pytest.mark.parametrize("shard", [-1, 3])
def test_a_shard_that_does_not_exist_is_refused(tmp_path: Path, shard: int) -> None:
    with pytest.raises(ValueError, match=f"no shard {shard} of 3"):
        runner(tmp_path).run_shard(shard, 3)


def test_finished_batches_are_reused_also_with_another_number_of_shards(tmp_path: Path) -> None:
    runner(tmp_path).run_shard(0, 2)
    before = diary(tmp_path)
    assert done(runner(tmp_path), 5) == SQUARES
    assert sorted(diary(tmp_path)) == list(range(10))
    assert before == diary(tmp_path)[: len(before)]


def test_another_fingerprint_reuses_nothing(tmp_path: Path) -> None:
    done(runner(tmp_path, "a" * 64), 2)
    assert done(runner(tmp_path, "b" * 64), 2) == SQUARES
    assert len(diary(tmp_path)) == 20


def test_a_damaged_piece_is_removed_and_done_anew(tmp_path: Path) -> None:
    work = runner(tmp_path)
    done(work, 2)
    (work.kept / "00000003.json").write_bytes(b"")
    with pytest.raises(TryAgain, match=r"00000003\.json was damaged"):
        done(work, 2)
    assert done(work, 2) == SQUARES
    assert len(diary(tmp_path)) == 11


@pytest.mark.parametrize("workers", [1, 2])
def test_a_fault_in_the_data_names_its_item_and_keeps_the_rest(tmp_path: Path, workers: int) -> None:
    with pytest.raises(DataError, match=r"^utt-7: this one is broken\.$"):
        done(runner(tmp_path, workers=workers, size=2, fault="data:7"), 2)
    assert done(runner(tmp_path, size=2), 2) == SQUARES


@pytest.mark.parametrize("workers", [1, 2])
def test_an_unexpected_error_keeps_its_type_and_says_which_item(tmp_path: Path, workers: int) -> None:
    with pytest.raises(KeyError, match="some bug") as caught:
        done(runner(tmp_path, workers=workers, fault="bug:3"), 2)
    notes = "\n".join(caught.value.__notes__)
    assert "While working on utt-3." in notes
    assert workers == 1 or "squares.py" in notes


def test_an_error_that_cannot_travel_comes_as_text(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=f"(?s){UnpicklableError.__name__}.*utt-3"):
        done(runner(tmp_path, workers=2, fault="unpicklable:3"), 2)


def test_a_batch_that_fails_although_its_items_pass_names_them_all(tmp_path: Path) -> None:
    with pytest.raises(MemoryError) as caught:
        done(runner(tmp_path, size=3, fault="together:4"), 1)
    assert "While working on utt-3, utt-4, utt-5." in caught.value.__notes__


def test_what_workers_log_reaches_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        done(runner(tmp_path, workers=2, fault="log:3"), 2)
    (line,) = [record for record in caplog.records if record.name == "tests.parallel.squares"]
    assert (line.levelname, line.getMessage()[:13]) == ("WARNING", "strange: 3\nTr")
    assert "ZeroDivisionError" in caplog.text
    assert "UserWarning: warned of 3" in caplog.text


def test_a_worker_stops_when_its_parent_has_lost_the_folder(tmp_path: Path) -> None:
    work = runner(tmp_path, workers=2, fault="overtaken:3")
    with lease(tmp_path), pytest.raises(LostLease):
        done(work, 2)
    assert not (work.kept / "00000003.json").exists()


def test_a_killed_worker_is_worth_another_try_that_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with pytest.raises(TryAgain, match=r"shard \d was killed by SIGKILL.*memory"):
        done(runner(tmp_path, workers=2, fault="kill:8"), 2)
    before, kept = len(diary(tmp_path)), len(list(runner(tmp_path).kept.glob("*.json")))
    assert kept > 0
    assert done(runner(tmp_path), 2) == SQUARES
    assert len(diary(tmp_path)) - before == 10 - kept


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path, workers: int) -> None:
    script = Path(__file__).with_name("squares.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen([sys.executable, script, tmp_path, str(workers)], env=environment)
    kept = kept_folder(tmp_path / "kept", "f" * 64)
    wait_until(lambda: len(list(kept.glob("*.json"))) >= 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not alive(tmp_path))
    finished = [json.loads(file.read_text()) for file in kept.glob("*.json")]
    assert 3 <= len(finished) < 20
    entries = len(diary(tmp_path))
    assert done(runner(tmp_path, count=20), 3) == [number**2 for number in range(20)]
    assert len(diary(tmp_path)) - entries == 20 - len(finished)


def test_a_run_that_lost_its_folder_stops(tmp_path: Path) -> None:
    work = runner(tmp_path)
    with lease(tmp_path):
        (tmp_path / ".lease").write_text("somebody else")
        with pytest.raises(LostLease):
            done(work, 2)
    assert len(diary(tmp_path)) <= 1


@pytest.mark.parametrize(("given", "workers", "least"), [(3, 2, 3), (None, 1000, 1)])
def test_threads_are_shared_out(given: int | None, workers: int, least: int) -> None:
    assert threads_each(given, workers) == least


def wait_until(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.01)


def alive(folder: Path) -> bool:
    """Whether some process still works in `folder`: its diary grows."""
    before = diary(folder)
    time.sleep(0.3)
    return diary(folder) != before

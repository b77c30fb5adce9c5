"""Checkpoints: which are kept, what their mean is, from which all ranks go on."""

import errno
import os
from pathlib import Path

import pytest
import torch
from lightning.fabric import Fabric

from espnet3.components.training.checkpoint_file import load_chosen
from espnet3.components.training.checkpoints import Checkpoints, TopK
from espnet3.errors import DataError, TryAgain
from tests.components.training.on_ranks import on_ranks


def payload(value: float) -> dict[str, object]:
    return {"model": {"weight": torch.full((2,), float(value)), "count": torch.tensor(int(value))}, "ema": None}


def save(checkpoints: Checkpoints, scores: list[float]) -> list[TopK]:
    kept: list[TopK] = []
    for epoch, score in enumerate(scores, start=1):
        kept = checkpoints.best([*kept, TopK(epoch, score)])
        checkpoints.save_epoch(payload(epoch), epoch, kept)
    return kept


@pytest.mark.parametrize(
    ("mode", "expected"), [("min", ["epoch0002.ckpt", "epoch0004.ckpt"]), ("max", ["epoch0001.ckpt", "epoch0003.ckpt"])]
)
def test_the_best_are_kept(tmp_path: Path, mode: str, expected: list[str]) -> None:
    save(Checkpoints(tmp_path, 2, mode), [5.0, 1.0, 4.0, 2.0])
    assert sorted(path.name for path in tmp_path.iterdir()) == [*expected, "last.ckpt"]


def test_of_equal_scores_the_later_is_kept(tmp_path: Path) -> None:
    assert save(Checkpoints(tmp_path, 1, "min"), [1.0, 1.0]) == [TopK(2, 1.0)]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_score_that_is_no_number_is_the_worst(tmp_path: Path, mode: str) -> None:
    nan = float("nan")
    checkpoints = Checkpoints(tmp_path, 2, mode)
    assert [kept.epoch for kept in save(checkpoints, [nan, 2.0, nan, 2.0])] == [4, 2]


def test_the_mean_leaves_whole_numbers_alone(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, 3, "min")
    kept = save(checkpoints, [3.0, 2.0, 1.0])
    mean = checkpoints.average(kept).weights
    assert mean["weight"].tolist() == [2.0, 2.0]
    assert mean["count"] == 3
    assert checkpoints.average(kept[1:2]).weights["weight"].tolist() == [2.0, 2.0]


def test_the_newest_that_loads_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path, 3, "min")
    save(checkpoints, [3.0, 2.0, 1.0])
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    torch.save({"something": "else"}, checkpoints.path(3))
    found = checkpoints.newest()
    assert found is not None
    assert found["model"]["count"] == 2
    assert sorted(path.name for path in tmp_path.glob("*.damaged")) == ["epoch0003.ckpt.damaged", "last.ckpt.damaged"]
    assert caplog.text.count("was renamed to") == 2


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"version": 1, "model": Path("/")}, tmp_path / "last.ckpt")
    assert Checkpoints(tmp_path, 1, "min").newest() is None


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "nowhere", 1, "min").newest() is None


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize(
    ("damaged", "gone", "expected"),
    [
        ([], [], 3),
        (["last"], [], 3),
        ([], ["last"], 3),
        (["last", "epoch0003"], [], 2),
        (["epoch0003"], ["last"], 2),
        (["last", "epoch0001", "epoch0002", "epoch0003"], [], None),
        ([], ["last", "epoch0001", "epoch0002", "epoch0003"], None),
    ],
)
def test_all_ranks_go_on_from_the_same(
    tmp_path: Path, damaged: list[str], gone: list[str], expected: int | None, ranks: int
) -> None:
    checkpoints = Checkpoints(tmp_path, 3, "min")
    save(checkpoints, [3.0, 2.0, 1.0])
    for name in damaged:
        cut(tmp_path / f"{name}.ckpt")
    for name in gone:
        (tmp_path / f"{name}.ckpt").unlink()

    def newest(_: Fabric) -> int | None:
        found = checkpoints.newest()
        return None if found is None else int(found["model"]["count"])

    assert on_ranks(ranks, newest) == [expected] * ranks


@pytest.mark.parametrize("failing", [0, 1])
def test_a_fault_of_one_rank_is_worth_another_try_of_all(tmp_path: Path, failing: int) -> None:
    checkpoints = Checkpoints(tmp_path, 3, "min")
    save(checkpoints, [3.0, 2.0, 1.0])

    def newest(fabric: Fabric) -> bool:
        if fabric.global_rank == failing:
            torch.load = fail
        return checkpoints.newest() is not None

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    with pytest.raises(TryAgain, match="Stale file handle"):
        on_ranks(2, newest)
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".ckpt") == []
    assert len(list(tmp_path.iterdir())) == 4


def test_what_another_rank_has_loaded_is_not_set_aside(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"half")
    with pytest.raises(TryAgain, match=r"last\.ckpt could not be read"):
        load_chosen(tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").exists()


@pytest.mark.parametrize("code", ["EIO", "ESTALE", "EACCES", "ETIMEDOUT"])
def test_a_folder_that_cannot_be_listed_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def fail(*_: object) -> list[str]:
        raise OSError(getattr(errno, code), "not now")

    monkeypatch.setattr(os, "listdir", fail)
    with pytest.raises(TryAgain, match="not now"):
        Checkpoints(tmp_path, 1, "min").newest()


def test_a_damaged_one_of_the_best_is_left_out_of_the_mean(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path, 3, "min")
    top_k = save(checkpoints, [1.0, 3.0, 2.0])
    cut(checkpoints.path(3))
    average = checkpoints.average(top_k)
    assert average.members == [TopK(1, 1.0), TopK(2, 3.0)]
    assert average.weights["weight"].tolist() == [1.5, 1.5]
    assert "Only 2 of the 3 best checkpoints can be averaged" in caplog.text
    for epoch in (1, 2):
        checkpoints.path(epoch).unlink()
    with pytest.raises(DataError, match=r"None of the best .* --force"):
        checkpoints.average(top_k)


def test_a_fault_while_the_best_are_averaged_leaves_them_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = Checkpoints(tmp_path, 3, "min")
    top_k = save(checkpoints, [1.0, 3.0, 2.0])

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", fail)
        with pytest.raises(TryAgain, match="Stale file handle"):
            checkpoints.average(top_k)
    assert len(checkpoints.average(top_k).members) == 3

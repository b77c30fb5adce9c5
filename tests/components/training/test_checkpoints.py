"""Checkpoints: which are kept, what their mean is, what is done with damaged ones."""

from pathlib import Path

import pytest
import torch

from espnet3.components.training.checkpoints import Checkpoints, TopK, mean_weights


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
    mean = checkpoints.average(save(checkpoints, [3.0, 2.0, 1.0]))
    assert mean["weight"].tolist() == [2.0, 2.0]
    assert mean["count"] == 3
    assert mean_weights([checkpoints.path(2)])["weight"].tolist() == [2.0, 2.0]


def test_the_newest_that_loads_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    checkpoints = Checkpoints(tmp_path, 3, "min")
    save(checkpoints, [3.0, 2.0, 1.0])
    (tmp_path / "last.ckpt").write_bytes(b"not a checkpoint")
    torch.save({"something": "else"}, checkpoints.path(3))
    found = checkpoints.newest()
    assert found is not None
    assert found["model"]["count"] == 2
    assert sorted(path.name for path in tmp_path.glob("*.damaged")) == ["epoch0003.ckpt.damaged", "last.ckpt.damaged"]
    assert caplog.text.count("was set aside") == 2


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    torch.save({"version": 1, "model": Path("/")}, tmp_path / "last.ckpt")
    assert Checkpoints(tmp_path, 1, "min").newest() is None


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "nowhere", 1, "min").newest() is None

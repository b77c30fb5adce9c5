"""Padding and collating, reports, and the signals that ask a training to stop."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from espnet3.components.training.data_module import collate
from espnet3.components.training.ema import MovingAverage
from espnet3.components.training.preemption import preemption
from espnet3.components.training.reports import Report, format_metrics, read_metrics
from espnet3.errors import DataError, Stopped


def test_floats_are_padded_with_zeros_and_ids_with_minus_one() -> None:
    first = {"feats": np.ones((2, 3), np.float32), "tokens": np.array([4, 5, 6])}
    second = {"feats": np.ones((1, 3), np.float32), "tokens": np.array([7])}
    batch = collate([("a", first), ("b", second)])
    assert isinstance(batch, dict)
    assert batch["utt_ids"] == ["a", "b"]
    assert batch["feats"].shape == (2, 2, 3)
    assert not batch["feats"][1, 1].any()
    assert batch["feats_lengths"].tolist() == [2, 1]
    assert batch["tokens"].tolist() == [[4, 5, 6], [7, -1, -1]]
    assert batch["tokens_lengths"].tolist() == [3, 1]


def test_an_error_takes_the_place_of_its_batch() -> None:
    error = DataError("a.wav is gone.")
    assert collate([("a", {"tokens": np.array([1])}), error]) is error


def test_metrics_read_back_as_written(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "step": 2, "lr": 0.1}, {"epoch": 1, "step": 4, "valid/loss": 1 / 3}]
    (tmp_path / "metrics.csv").write_text(format_metrics(rows))
    assert read_metrics(tmp_path / "metrics.csv") == rows


def test_a_report_goes_on_after_the_rows_of_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,lr\n1,1,0.1\n1,2,0.2\n1,3,0.3\n")
    report = Report(tmp_path)
    report.resume(2)
    report.add({"epoch": 1, "step": 3, "lr": 0.5})
    report.write()
    report.close()
    assert (tmp_path / "metrics.csv").read_text() == "epoch,step,lr\n1,1,0.1\n1,2,0.2\n1,3,0.5\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_to_stop_is_remembered_and_the_handler_restored(number: int) -> None:
    before = signal.getsignal(number)
    with suppress(Stopped), preemption() as watch:
        seen = [watch.requested]
        os.kill(os.getpid(), number)
        seen.append(watch.requested)
        raise Stopped
    assert seen == [False, True]
    assert signal.getsignal(number) is before


def test_a_moving_average_follows_the_model() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    average = MovingAverage(model, decay=0.5)
    with torch.no_grad():
        for step in range(10):
            model.weight.fill_(float(step))
            average.update()
    (weight,) = average.model.parameters()
    assert 7 < weight.item() < 9
    other = MovingAverage(torch.nn.Linear(1, 1, bias=False), decay=0.5)
    other.load_state_dict(average.state_dict())
    assert torch.equal(next(other.model.parameters()), weight)

"""Several devices: the same batches, gradients and scores as on one, one set of files; an error of one ends all."""

import csv
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.systems.base.training.test_interruption import wait_for_file

Config = dict[str, Any]
WITHOUT_CHANCE = {"augment": [], "feature_augment": [], "model__dropout": 0.0, "model__channel_dropout": 0.0}


def test_two_processes_train_like_one(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path
) -> None:
    for devices in (1, 2):
        assert start(make_config(str(devices), num_device=devices, **WITHOUT_CHANCE)).wait() == 0
    one, two = (load_file(tmp_path / exp / "averaged.safetensors") for exp in ("1", "2"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-3, rtol=1e-3)
    steps = [json.loads((tmp_path / exp / "averaged.json").read_text())["step"] for exp in ("1", "2")]
    assert steps[0] == steps[1]


ONE_STEP = {
    "dataloader__batch_seconds": 1000,
    "optimizer": {"_target_": "torch.optim.SGD", "lr": 0.1},
    "scheduler": None,
    "trainer__max_epochs": 1,
    **WITHOUT_CHANCE,
}
"""All 24 utterances in one step: one batch where dataloader.max_batch_size is 24."""


@pytest.mark.parametrize(
    ("devices", "batch_size", "group", "clip"),
    [
        pytest.param(1, 5, 5, None, id="five batches"),
        pytest.param(1, 1, 24, 0.01, id="batches of one utterance, clipped"),
        pytest.param(1, 7, 100, 0.01, id="a group that is cut short, clipped"),
        pytest.param(2, 24, 1, None, id="two ranks"),
        pytest.param(2, 5, 5, 0.01, id="two ranks, five batches, clipped"),
        pytest.param(2, 1, 24, None, id="two ranks, batches of one utterance"),
        pytest.param(4, 24, 1, 0.01, id="four ranks, clipped"),
        pytest.param(4, 3, 8, None, id="four ranks, batches of three utterances"),
    ],
)
def test_a_step_is_the_same_however_its_utterances_are_spread(
    make_config: Callable[..., Config],
    start: Callable[[Config], Any],
    tmp_path: Path,
    devices: int,
    batch_size: int,
    group: int,
    clip: float | None,
) -> None:
    settings = {**ONE_STEP, "trainer__gradient_clip_val": clip}
    spread = {
        "num_device": devices,
        "dataloader__max_batch_size": batch_size,
        "trainer__accumulate_grad_batches": group,
    }
    assert start(make_config("whole", dataloader__max_batch_size=24, **settings)).wait() == 0
    assert start(make_config("spread", **settings, **spread)).wait() == 0
    assert json.loads((tmp_path / "spread" / "averaged.json").read_text())["step"] == 1
    whole, spread_out = (load_file(tmp_path / exp / "averaged.safetensors") for exp in ("whole", "spread"))
    for name, value in whole.items():
        torch.testing.assert_close(spread_out[name], value, atol=2e-6, rtol=2e-5)


def epochs(exp_dir: Path, start: str) -> list[dict[str, float]]:
    """What was reported at the end of each epoch under names that begin so."""
    with (exp_dir / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["valid/loss"]]
    return [{name: float(value) for name, value in row.items() if name.startswith(start)} for row in rows]


JOINT = {
    "model": {
        "_target_": "espnet3.systems.asr.models.joint.ConformerJoint",
        "size": 16,
        "num_layers": 1,
        "num_heads": 2,
        "channels": [4, 4, 4],
        "decoder_layers": 1,
        "decoder_heads": 2,
        "decoder_feedforward": 16,
        "normalize": "utterance",
    }
}
"""Its scores have other units than tokens, too: utterances, and tokens with their ends."""


@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("model", [{}, JOINT, {"trainer__ema_decay": 0.9}], ids=["ctc", "joint", "moving average"])
def test_the_same_weights_have_the_same_scores_on_one_two_and_four(
    make_config: Callable[..., Config],
    start: Callable[[Config], Any],
    tmp_path: Path,
    model: Config,
    batch_size: int,
) -> None:
    unchanged = {"optimizer__lr": 0.0, "trainer__max_epochs": 1, "dataloader__max_batch_size": batch_size, **model}
    for devices in (1, 2, 4):
        assert start(make_config(str(devices), num_device=devices, **unchanged)).wait() == 0
    one, *others = (epochs(tmp_path / str(devices), "valid/") for devices in (1, 2, 4))
    for other in others:
        assert other == [pytest.approx(one[0], rel=1e-6)]
        for name in COUNTS & one[0].keys():
            assert other[0][name] == one[0][name]


COUNTS = {"valid/ter", "valid/too_short", "valid/acc"}


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 4), (4, 2)])
def test_a_training_that_was_stopped_goes_on_with_more_or_fewer(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path, before: int, after: int
) -> None:
    """Stopped in its first validation, when all of the epoch's training is summed up."""
    changes = {
        "model___target_": "tests.systems.base.training.slow_validation.SlowValidation",
        "model__marks": str(tmp_path),
        "dataloader__max_batch_size": 2,
        "trainer__max_epochs": 1,
    }
    assert start(make_config("alone", num_device=before, **changes)).wait() == 0
    for mark in tmp_path.glob("validating.*"):
        mark.unlink()
    job = start(make_config("exp", num_device=before, **changes))
    wait_for_file(tmp_path, "validating.*")
    os.kill(job.process.pid, signal.SIGTERM)
    assert job.wait() == 75
    assert start(make_config("exp", num_device=after, trainer__resume="continue", **changes)).wait() == 0
    alone, again = (epochs(tmp_path / exp, "train/loss") for exp in ("alone", "exp"))
    assert again == [pytest.approx(alone[0], rel=1e-9)]
    assert epochs(tmp_path / "exp", "valid/") == [pytest.approx(epochs(tmp_path / "alone", "valid/")[0], rel=1e-6)]


def test_two_ranks_pass_over_the_same_damaged_checkpoints(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path
) -> None:
    for exp in ("whole", "damaged"):
        assert start(make_config(exp, num_device=2)).wait() == 0
    (tmp_path / "damaged" / "averaged.json").unlink()
    checkpoints = tmp_path / "damaged" / "checkpoints"
    for path in (checkpoints / "last.ckpt", max(checkpoints.glob("epoch*"))):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert start(make_config("damaged", num_device=2)).wait() == 0
    assert len(list(checkpoints.glob("*.damaged"))) == 2
    for name in ("averaged.safetensors", "metrics.csv"):
        assert (tmp_path / "damaged" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_an_error_of_one_process_is_the_trainings(
    make_config: Callable[..., Config], start: Callable[[Config], Any], tmp_path: Path, manifest_with_a_hole: str
) -> None:
    config = make_config(num_device=2)
    config["dataset"]["train"][0]["data_src_args"]["manifest"] = manifest_with_a_hole
    assert start(config).wait() == 66
    assert "gone" in (tmp_path / "exp" / "error.txt").read_text()

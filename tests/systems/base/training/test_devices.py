"""Two devices: the same batches, the same gradients, one set of files; an error of one ends both."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

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

"""What a training leaves, what a second one does, and what it refuses."""

import csv
import json
import logging
import os
import re
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from espnet3.components.data.stats import Moments, stats_file
from espnet3.components.training.checkpoints import Checkpoints
from espnet3.components.training.data_module import Prepared
from espnet3.components.training.record import read_record, write_record
from espnet3.errors import ConfigError, DataError, TryAgain
from espnet3.pipeline.fingerprint import StageRun, running
from espnet3.systems.base.products import stats_key
from espnet3.systems.base.training import train

Config = dict[str, Any]
MakeConfig = Callable[..., Config]


def weights(exp_dir: Path) -> dict[str, torch.Tensor]:
    return load_file(exp_dir / "averaged.safetensors")


def rows(exp_dir: Path) -> list[dict[str, str]]:
    with (exp_dir / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_training_learns_and_leaves_its_files(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(trainer__max_epochs=8, feature_augment=[])
    train(config)
    exp_dir = tmp_path / "exp"
    losses = [float(row["valid/loss"]) for row in rows(exp_dir) if row["valid/loss"]]
    assert len(losses) == 8
    assert losses[-1] < 0.8 * losses[0]
    config["tokenizer"]["path"] = str(exp_dir / "files/tokenizer/characters.json")
    config["stats_dir"] = str(Path(config["stats_dir"]) / stats_key(config))
    assert OmegaConf.load(exp_dir / "config.yaml") == OmegaConf.create(config)
    assert (exp_dir / "loss.svg").read_text().startswith("<svg")
    assert list((exp_dir / "tensorboard").iterdir())
    checkpoints = {path.name for path in (exp_dir / "checkpoints").glob("*.ckpt")}
    members = json.loads((exp_dir / "averaged.json").read_text())["members"]
    assert checkpoints == {"last.ckpt", *(f"epoch{member['epoch']:04d}.ckpt" for member in members)}
    assert len(members) == 2


def test_the_averaged_weights_are_the_mean_of_the_best(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config())
    members = [
        torch.load(path, weights_only=True)["model"] for path in sorted((tmp_path / "exp/checkpoints").glob("epoch*"))
    ]
    for name, value in weights(tmp_path / "exp").items():
        torch.testing.assert_close(value, sum(member[name] for member in members) / 2)


def test_the_best_are_those_of_the_criterion(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config(best_model_criterion=["epoch", "max"]))
    members = json.loads((tmp_path / "exp" / "averaged.json").read_text())["members"]
    assert [member["epoch"] for member in members] == [3, 2]


def test_the_same_config_gives_the_same_bytes_with_and_without_workers(make_config: MakeConfig, tmp_path: Path) -> None:
    for exp, workers in (("a", 0), ("b", 1)):
        train(make_config(exp, dataloader__num_workers=workers))
    for name in ("averaged.safetensors", "metrics.csv", "loss.svg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_finished_training_is_not_repeated(
    make_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(make_config())
    weights = tmp_path / "exp" / "averaged.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:1000])
    with caplog.at_level(logging.INFO):
        train(make_config())
    assert weights.read_bytes() == before, "averaged again"
    assert "epoch 1:" not in caplog.text


def test_a_finished_training_of_other_settings_is_set_aside(
    make_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(make_config(trainer__max_epochs=1))
    old = (tmp_path / "exp" / "averaged.safetensors").read_bytes()
    train(make_config(trainer__max_epochs=2))
    assert (tmp_path / "exp" / "checkpoints.1" / "averaged.safetensors").read_bytes() == old
    assert re.search(r"anew \(trainer\.max_epochs: 1 → 2\)\. The earlier one is kept in .*checkpoints\.1", caplog.text)
    assert len([row for row in rows(tmp_path / "exp") if row["valid/loss"]]) == 2


def test_force_starts_over(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(trainer__max_epochs=1)
    with running(StageRun()):
        train(config)
    with running(StageRun(forced=True)):
        train(config)
    assert (tmp_path / "exp" / "checkpoints.1" / "last.ckpt").exists()
    assert (tmp_path / "exp" / "averaged.safetensors").exists()


def interrupt(exp_dir: Path) -> None:
    """Leave a training as if it had been killed before its end."""
    record = read_record(exp_dir)
    assert record is not None
    write_record(exp_dir, replace(record, finished=False))


def test_an_unfinished_training_of_other_settings_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config(trainer__max_epochs=1))
    interrupt(tmp_path / "exp")
    before = sorted(path.name for path in (tmp_path / "exp").rglob("*"))
    with pytest.raises(ConfigError, match=r"optimizer\.lr: 0\.01 → 0\.5.*exp_tag.*--force.*resume: continue"):
        train(make_config(trainer__max_epochs=1, optimizer__lr=0.5))
    assert sorted(path.name for path in (tmp_path / "exp").rglob("*")) == before


def test_data_made_anew_are_other_data(make_config: MakeConfig, tmp_path: Path, corpus: Path) -> None:
    lines = (corpus / "train.jsonl").read_text().replace('"audio": "', f'"audio": "{corpus}/')
    config = make_config(trainer__max_epochs=1)
    manifest = tmp_path / "train.jsonl"
    manifest.write_text(lines)
    config["dataset"]["train"][0]["data_src_args"]["manifest"] = str(manifest)
    train(config)
    manifest.write_text(lines.replace('"text": "a', '"text": "b'))
    train(config)
    assert (tmp_path / "exp" / "checkpoints.1" / "averaged.safetensors").exists()
    interrupt(tmp_path / "exp")
    manifest.write_text(lines)
    with pytest.raises(ConfigError, match=r"with other settings \(\S+train\.jsonl changed \(sha256 \S+ → \S+\)\)"):
        train(config)


def test_a_training_that_failed_before_its_first_checkpoint_is_nothing_to_keep(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="hiden_size"):
        train(make_config(trainer__max_epochs=1, model__hiden_size=3))
    train(make_config(trainer__max_epochs=1))
    assert not (tmp_path / "exp" / "checkpoints.1").exists()


@pytest.mark.parametrize(
    ("made_of", "message"),
    [("", "statistics of 19 features, .* makes 20"), ("other", r"other features or data \(other, not \w{12}\)")],
)
def test_statistics_of_other_features_are_refused(
    make_config: MakeConfig, tmp_path: Path, made_of: str, message: str
) -> None:
    moments = Moments(19)
    moments.add(np.zeros((3, 19), np.float32))
    train(make_config(trainer__max_epochs=1))
    before = sorted(path.name for path in (tmp_path / "exp").rglob("*"))
    config = make_config(model__normalize="global", stats_dir=str(tmp_path / "stats"))
    moments.write(stats_file(tmp_path / "stats" / stats_key(config)), made_of)
    with pytest.raises(DataError, match=message):
        train(config)
    assert sorted(path.name for path in (tmp_path / "exp").rglob("*")) == before, "nothing was touched"


def test_resume_continue_goes_on_with_other_settings(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config(trainer__max_epochs=2))
    train(make_config(trainer__max_epochs=3, trainer__resume="continue", optimizer__lr=0.002))
    epochs = [row for row in rows(tmp_path / "exp") if row["valid/loss"]]
    assert [row["epoch"] for row in epochs] == ["1", "2", "3"]
    assert float(epochs[-1]["lr"]) <= 0.002
    assert not (tmp_path / "exp" / "checkpoints.1").exists()


def test_a_cut_checkpoint_is_set_aside_and_costs_no_bit(
    make_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(make_config("whole"))
    train(make_config("cut"))
    interrupt(tmp_path / "cut")
    last = tmp_path / "cut" / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[: last.stat().st_size // 2])
    newest = max(last.parent.glob("epoch*"))
    newest.write_bytes(b"")
    train(make_config("cut"))
    assert "last.ckpt cannot be read" in caplog.text
    assert {path.name for path in last.parent.glob("*.damaged")} == {"last.ckpt.damaged", f"{newest.name}.damaged"}
    for name in ("averaged.safetensors", "metrics.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "cut" / name).read_bytes()


def test_what_a_killed_training_left_half_written_is_removed(make_config: MakeConfig, tmp_path: Path) -> None:
    half = tmp_path / "exp" / "checkpoints" / ".last.ckpt.12.0123abcd.tmp"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    train(make_config(trainer__max_epochs=1))
    assert not half.exists()


def test_one_damaged_checkpoint_of_the_best_does_not_block_the_end(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config())
    interrupt(tmp_path / "exp")
    first, second = sorted((tmp_path / "exp" / "checkpoints").glob("epoch*"))
    first.write_bytes(first.read_bytes()[:1000])
    train(make_config())
    members = json.loads((tmp_path / "exp" / "averaged.json").read_text())["members"]
    assert [f"epoch{member['epoch']:04d}.ckpt" for member in members] == [second.name]
    interrupt(tmp_path / "exp")
    second.write_bytes(b"")
    with pytest.raises(DataError, match=r"None of the best checkpoints .* Train again with --force"):
        train(make_config())


def test_early_stopping(make_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = make_config(trainer__max_epochs=9, trainer__early_stopping_patience=2, optimizer__lr=1e-12)
    with caplog.at_level(logging.INFO):
        train({**config, "best_model_criterion": ["epoch", "min"]})
    assert [row["epoch"] for row in rows(tmp_path / "exp") if row["valid/loss"]] == ["1", "2", "3"]
    assert "Stopping early" in caplog.text


def test_max_steps_ends_within_an_epoch(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config(trainer__max_steps=8, trainer__max_epochs=99))
    assert json.loads((tmp_path / "exp" / "averaged.json").read_text())["step"] == 8


def test_a_training_that_is_stopped_after_its_last_step_takes_no_further_one(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"trainer__max_steps": 2, "trainer__every_n_minutes": 1e-9}
    train(make_config("whole", **settings))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save_epoch", die)
        with pytest.raises(KeyboardInterrupt):
            train(make_config("stopped", **settings))
    train(make_config("stopped", **settings))
    for name in ("averaged.safetensors", "metrics.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()


def test_a_moving_average_is_what_is_kept(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config(trainer__ema_decay=0.9, trainer__keep_checkpoints=1))
    (path,) = (tmp_path / "exp" / "checkpoints").glob("epoch*")
    payload = torch.load(path, weights_only=True)
    for name, value in weights(tmp_path / "exp").items():
        torch.testing.assert_close(value, payload["ema"]["weights"][name])
    assert any(not torch.equal(payload["model"][name], value) for name, value in payload["ema"]["weights"].items())


def test_accumulated_batches_make_one_step(make_config: MakeConfig, tmp_path: Path) -> None:
    train(make_config("one", trainer__max_epochs=1))
    train(make_config("three", trainer__max_epochs=1, trainer__accumulate_grad_batches=3))
    one, three = (json.loads((tmp_path / exp / "averaged.json").read_text())["step"] for exp in ("one", "three"))
    assert three == -(-one // 3)


def test_gradients_that_stay_infinite_end_the_training(
    make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(optimizer__lr=1e30, scheduler=None, trainer__max_epochs=99)
    with pytest.raises(ConfigError, match=r"100 steps in a row .* Lower optimizer\.lr"):
        train(config)
    assert "was skipped: its gradients are not finite" in caplog.text


def test_weights_that_are_not_finite_are_no_model(make_config: MakeConfig, tmp_path: Path) -> None:
    steep = {"_target_": "torch.optim.SGD", "lr": 3e38, "weight_decay": 1e3}
    config = make_config(optimizer=steep, scheduler=None, trainer__max_epochs=1)
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"weights that are not finite.* Lower optimizer\.lr.*--force"):
            train(config)
    assert not (tmp_path / "exp" / "averaged.safetensors").exists()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model__hiden_size": 3}, ConfigError, r"training_config\.model\.hiden_size: .*did you mean hidden_size"),
        ({"model__subsampling": 3}, ConfigError, r"training_config\.model .*choose one of 1, 2, 4, 8"),
        ({"model__hidden_size": -4}, ConfigError, r"training_config\.model .*-8"),
        ({"optimizer__lr": "fast"}, ConfigError, r"training_config\.optimizer\.lr: needs a number, and 'fast' is text"),
        ({"trainer__precision": "bf17"}, ConfigError, r"training_config\.trainer: .*precision bf17 .*bf16-mixed"),
        (
            {"trainer__precision": "bf16-true", "trainer__ema_decay": 0.9},
            ConfigError,
            r"training_config\.trainer\.ema_decay: goes with .* not with trainer\.precision bf16-true.*given: 0\.9",
        ),
        ({"trainer__accelerator": "tpu"}, ConfigError, r"training_config\.trainer: accelerator tpu"),
        ({"optimizer__lrr": 3}, ConfigError, r"training_config\.optimizer\.lrr: .*did you mean lr"),
        (
            {"scheduler__warm": 3},
            ConfigError,
            r"training_config\.scheduler\.warm: .*it takes .*warmup_steps",
        ),
        ({"optimizer": {"_target_": "torch.optim.Nope"}}, ConfigError, r"training_config\.optimizer"),
        ({"best_model_criterion": ["valid/wer", "min"]}, ConfigError, r"'valid/wer', .*It reports: .*valid/loss"),
        ({"dataset__train": []}, ConfigError, r"training_config\.dataset\.train is empty"),
        ({"tokenizer__path": "nowhere.json"}, DataError, "nowhere.json"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_a_wrong_setting_is_named(
    make_config: MakeConfig, changes: Config, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(make_config(trainer__max_epochs=1, **changes))


@pytest.mark.parametrize(
    ("instead", "returned"),
    [
        ("the loss alone", r"a tensor of shape \(\)"),
        ("nothing", "nothing"),
        ("no weight", "a tuple of 2"),
        ("a loss of each utterance", r"as loss a tensor of shape \(2,\)"),
        ("a number as weight", "as weight a value of type int"),
        ("no stats", "as stats a dict of 0"),
        ("stats that are no dict", r"as stats a tensor of shape \(\)"),
        ("a number in stats", r"as stats\['ter'\] a value of type float"),
        ("a mean over no number", r"as stats\['ter'\] a Mean of 2"),
    ],
)
def test_a_model_that_returns_something_else_is_named(make_config: MakeConfig, instead: str, returned: str) -> None:
    config = make_config(model___target_="tests.systems.base.training.wrong_output.WrongOutput", model__instead=instead)
    with pytest.raises(ConfigError, match=rf"config\.model: WrongOutput returned {returned} for a batch\. A model ret"):
        train(config)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_audio_file_that_is_gone_is_named(make_config: MakeConfig, manifest_with_a_hole: str, workers: int) -> None:
    config = make_config(dataloader__num_workers=workers)
    config["dataset"]["train"][0]["data_src_args"]["manifest"] = manifest_with_a_hole
    with pytest.raises(DataError, match=r"^[^\n]*gone\.wav[^\n]*$"):
        train(config)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_audio_file_that_was_replaced_is_named(
    make_config: MakeConfig, corpus: Path, tmp_path: Path, workers: int
) -> None:
    content = (corpus / "train-000.wav").read_bytes()
    (tmp_path / "other.wav").write_bytes(content[:-2] + bytes([content[-2] ^ 1, content[-1]]))
    manifest = tmp_path / "train.jsonl"
    lines = (corpus / "train.jsonl").read_text().replace('"audio": "', f'"audio": "{corpus}/')
    manifest.write_text(lines.replace(f"{corpus}/train-000.wav", "other.wav"))
    os.utime(manifest, (1, 1))
    config = make_config(dataloader__num_workers=workers)
    config["dataset"]["train"][0]["data_src_args"]["manifest"] = str(manifest)
    with pytest.raises(DataError, match=r"^[^\n]*other\.wav is not the recording that [^\n]*train\.jsonl names[^\n]*$"):
        train(config)


def test_a_killed_worker_is_worth_another_try(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(Prepared, "__getitem__", die)
    with pytest.raises(TryAgain, match=r"DataLoader worker .*(killed|exited).*memory ran out.*goes on"):
        train(make_config(dataloader__num_workers=1))

"""Fine-tuning: a training begins with the weights of another model, and trains but a part of its own."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from espnet3.errors import ConfigError, DataError, Espnet3Error
from espnet3.systems.base.training import train

Config = dict[str, Any]
Make = Callable[..., Config]


@pytest.fixture
def trained(make_config: Make, tmp_path: Path) -> Path:
    """The weights of a model that was trained for a moment."""
    train(make_config("first", trainer__max_epochs=1))
    return tmp_path / "first" / "averaged.safetensors"


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "averaged.safetensors")


def same(name: str, one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one if key.startswith(name))


def test_what_is_frozen_stays_and_the_rest_goes_on(make_config: Make, trained: Path, tmp_path: Path) -> None:
    settings = {"init_param": {"file": str(trained)}, "freeze_param": ["subsampling.*"]}
    train(make_config("tuned", seed=8, trainer__max_epochs=1, **settings))
    before, after = load_file(trained), weights(tmp_path / "tuned")
    assert same("subsampling.", before, after)
    assert not same("ctc.", before, after)


def test_what_is_left_out_begins_at_random(make_config: Make, trained: Path, tmp_path: Path) -> None:
    settings = {"init_param": {"file": str(trained), "exclude": ["ctc.*"]}, "freeze_param": ["subsampling.*", "ctc.*"]}
    train(make_config("tuned", seed=8, trainer__max_epochs=1, **settings))
    before, after = load_file(trained), weights(tmp_path / "tuned")
    assert same("subsampling.", before, after)
    assert not same("ctc.", before, after)


def test_other_tokens_are_no_hindrance_where_their_layer_is_left_out(
    make_config: Make, trained: Path, tmp_path: Path
) -> None:
    content = load_file(trained)
    content["ctc.linear.weight"] = torch.zeros(99, content["ctc.linear.weight"].shape[1])
    content["ctc.linear.bias"] = torch.zeros(99)
    save_file(content, tmp_path / "other.safetensors")
    file = str(tmp_path / "other.safetensors")
    with pytest.raises(ConfigError, match=r"ctc\.linear\.weight is \(99, \d+\) there and .*exclude, such as \['ctc"):
        train(make_config("refused", init_param={"file": file}))
    train(make_config("tuned", trainer__max_epochs=1, init_param={"file": file, "exclude": ["ctc.*"]}))
    assert (tmp_path / "tuned" / "averaged.safetensors").exists()


def test_other_weights_to_begin_with_make_another_training(make_config: Make, trained: Path, tmp_path: Path) -> None:
    config = make_config("tuned", trainer__max_epochs=1, init_param={"file": str(trained)})
    train(config)
    first = weights(tmp_path / "tuned")
    changed = {name: value + 0.1 if value.is_floating_point() else value for name, value in load_file(trained).items()}
    save_file(changed, trained)
    train(config)
    assert (tmp_path / "tuned" / "checkpoints.1").is_dir()
    assert not same("ctc.", first, weights(tmp_path / "tuned"))


def lacking(content: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in content.items() if name != "ctc.linear.bias"}


def strange(content: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**content, "lm.weight": torch.zeros(2)}


@pytest.mark.parametrize(
    ("change", "settings", "error", "said"),
    [
        (None, {"init_param": {"file": "none.safetensors"}}, DataError, "there is no none.safetensors"),
        (lacking, {}, ConfigError, "the file lacks ctc.linear.bias"),
        (strange, {}, ConfigError, "the model lacks lm.weight"),
        (None, {"freeze_param": ["encoder.*"]}, ConfigError, "freeze_param: encoder.* matches no parameter"),
        (None, {"freeze_param": ["*"]}, ConfigError, "nothing is left to train"),
        ("cut", {}, DataError, "is not a whole safetensors file"),
        ("exclude", {}, ConfigError, "init_param.exclude: cct.* matches no parameter of the model, whose first are"),
    ],
)
def test_what_cannot_be_begun_with_is_named(
    make_config: Make, trained: Path, change: Any, settings: Config, error: type[Espnet3Error], said: str
) -> None:
    init: Config = {"file": str(trained)}
    if change == "cut":
        trained.write_bytes(trained.read_bytes()[:-10])
    elif change == "exclude":
        init["exclude"] = ["cct.*"]
    elif change is not None:
        save_file(change(load_file(trained)), trained)
    with pytest.raises(error, match=re.escape(said)):
        train(make_config("tuned", **{"init_param": init, **settings}))

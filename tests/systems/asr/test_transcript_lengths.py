"""Train counts the transcripts that are too long for their speech before its first step, and what it does with them."""

import csv
import itertools
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from omegaconf import OmegaConf
from safetensors.torch import load_file

from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.errors import DataError
from espnet3.systems.asr.models.bilstm import BiLSTMCTC
from espnet3.systems.asr.models.ctc_model import CTCModel
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.asr.tokenizer_making import with_tokenizer
from espnet3.systems.base.products import stats_key
from espnet3.systems.base.training import train as base_train

RATE = 8000
SECONDS = 0.425
"""41 frames of features, of which subsampling by 4 leaves 11."""
FITS = ["abcd", "abcdabcdabc", "aaaaaa", "a"]
TOO_LONG = ["abcdabcdabcd", "aaaaaaa", "abcd" * 30, "aabbccddaab"]
"""More than 11 frames: by their tokens alone, or with the blanks between those that are the same."""
DATASET_MODULE = "from espnet3.components.data.dataset import ManifestDataset as Dataset\n\n__all__ = ['Dataset']\n"

MakeConfig = Callable[..., Any]


class Silent(BiLSTMCTC):
    """A recipe's model that does not say how many frames it leaves."""

    output_lengths = CTCModel.output_lengths


class Shortening:
    """A recipe's transform of samples."""

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        return {**sample, "text": sample["text"][:4]}


def write_split(folder: Path, split: str, texts: Sequence[str]) -> None:
    generator = np.random.default_rng(len(split))
    utterances = []
    for index, text in enumerate(texts):
        path = folder / f"{split}-{index}.wav"
        soundfile.write(path, generator.normal(0, 0.1, int(RATE * SECONDS)), RATE)
        utterances.append(Utterance(path.stem, path.name, 0.0, SECONDS, RATE, text, "speaker", ""))
    write_manifest(folder / f"{split}.jsonl", utterances)


@pytest.fixture
def make_config(tmp_path: Path) -> MakeConfig:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "__init__.py").write_text(DATASET_MODULE)

    def make(train: Sequence[str], valid: Sequence[str] = FITS, **changes: Any) -> Any:
        write_split(tmp_path, "train", train)
        write_split(tmp_path, "valid", valid)
        config = OmegaConf.create(base_config(tmp_path))
        for key, value in changes.items():
            OmegaConf.update(config, key.replace("__", "."), value)
        ASRSystem(training_config=config).collect_stats()
        return config

    return make


def base_config(folder: Path) -> dict[str, Any]:
    return {
        "exp_dir": str(folder / "exp"),
        "data_dir": str(folder),
        "stats_dir": str(folder / "stats"),
        "recipe_dir": str(folder),
        "seed": 0,
        "num_threads": 1,
        "dataset": {
            split: [{"data_src_args": {"manifest": str(folder / f"{split}.jsonl")}}] for split in ("train", "valid")
        },
        "features": {"_target_": "espnet3.components.data.features.LogMel", "sample_rate": RATE, "n_mels": 20},
        "tokenizer": {
            "_target_": "espnet3.components.data.tokenizer.CharTokenizer",
            "path": str(folder / "tokenizer/characters.json"),
        },
        "preprocessor": {"_target_": "espnet3.systems.asr.preprocessor.SpeechTextPreprocessor"},
        "model": {
            "_target_": "espnet3.systems.asr.models.bilstm.BiLSTMCTC",
            "hidden_size": 8,
            "num_layers": 1,
            "projection_size": 8,
            "channels": [2, 2, 4],
        },
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.01},
        "dataloader": {"batch_seconds": 10, "max_batch_size": 2, "num_workers": 0},
        "trainer": {"max_epochs": 1, "keep_checkpoints": 1, "accelerator": "cpu"},
    }


def train(config: Any) -> None:
    ASRSystem(training_config=config).train()


def last_row(folder: Path) -> dict[str, str]:
    with (folder / "exp" / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))[-1]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if "more frames than" in record.message]


@pytest.mark.parametrize("text", TOO_LONG)
def test_a_few_that_are_too_long_are_counted_and_told(
    make_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    train(make_config([*FITS, text, *FITS]))
    [message] = warnings(caplog)
    repeats = sum(one == other for one, other in itertools.pairwise(text))
    assert "dataset.train: 1 of 9 transcripts" in message
    assert (
        f"The first is train-4: {len(text)} tokens need {len(text) + repeats} frames, and of its 41 frames 11"
        in message
    )
    assert float(last_row(tmp_path)["train/too_short"]) == pytest.approx(100 / 9)


def test_where_all_fit_nothing_is_told(
    make_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(make_config(FITS))
    assert warnings(caplog) == []
    assert float(last_row(tmp_path)["train/too_short"]) == 0


@pytest.mark.parametrize(
    ("train_texts", "valid_texts", "message"),
    [
        (TOO_LONG, FITS, "dataset.train: 4 of 4 transcripts"),
        ([*TOO_LONG[:2], FITS[0]], FITS, "dataset.train: 2 of 3 transcripts"),
        (FITS, TOO_LONG[:1], "dataset.valid: 1 of 1 transcripts"),
    ],
    ids=["all", "two of three", "validation"],
)
def test_where_most_are_too_long_nothing_is_trained(
    make_config: MakeConfig, tmp_path: Path, train_texts: list[str], valid_texts: list[str], message: str
) -> None:
    config = make_config(train_texts, valid_texts)
    with pytest.raises(DataError, match=rf"{message}.*(?s:.)*alignment.*speed of the speech.*subsampling.*word pieces"):
        train(config)
    assert not list((tmp_path / "exp").rglob("*.ckpt"))
    assert not (tmp_path / "exp" / "metrics.csv").exists()


def test_half_of_them_are_not_most(make_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> None:
    train(make_config([*FITS, *TOO_LONG]))
    assert "4 of 8" in warnings(caplog)[0]


def test_with_less_subsampling_they_fit(make_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> None:
    texts = [text for text in TOO_LONG if len(text) < 20]
    config = make_config(texts, model__subsampling=2)
    train(config)
    assert warnings(caplog) == []
    config.model.subsampling = 8
    config.exp_dir += "8"
    with pytest.raises(DataError, match="3 of 3"):
        train(config)


@pytest.mark.parametrize("devices", [2, 3])
def test_several_ranks_count_together(make_config: MakeConfig, tmp_path: Path, devices: int) -> None:
    config = make_config([*TOO_LONG, *FITS[:3]], num_device=devices)
    with pytest.raises(DataError, match=r"4 of 7 transcripts.* The first is train-0:"):
        train(config)
    config = make_config([*FITS, *TOO_LONG[:3]], num_device=devices, exp_dir=str(tmp_path / "exp"))
    train(config)
    assert float(last_row(tmp_path)["train/too_short"]) == pytest.approx(300 / 7)


ADAM = {"optimizer___target_": "torch.optim.AdamW", "optimizer__weight_decay": 0.5}
STILL = {
    "optimizer___target_": "torch.optim.SGD",
    "model__dropout": 0.0,
    "model__channel_dropout": 0.0,
    "model__normalize": "utterance",
}


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "exp" / "averaged.safetensors")


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_a_step_is_the_same_without_them(make_config: MakeConfig, tmp_path: Path, devices: int, at_once: int) -> None:
    for name, texts in (("with", [*FITS, *TOO_LONG[:3]]), ("without", FITS)):
        changes = {
            "exp_dir": str(tmp_path / name / "exp"),
            "num_device": devices,
            "dataloader__max_batch_size": at_once,
            "trainer__accumulate_grad_batches": 7,
            "trainer__max_epochs": 3,
            **STILL,
        }
        train(make_config(texts, **changes))
    expected = weights(tmp_path / "without")
    for name, value in weights(tmp_path / "with").items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)
    assert float(last_row(tmp_path / "with")["train/too_short"]) == pytest.approx(300 / 7)


@pytest.mark.parametrize("devices", [1, 2])
def test_steps_of_nothing_else_move_no_weight(make_config: MakeConfig, tmp_path: Path, devices: int) -> None:
    for name, epochs in (("short", 1), ("long", 3)):
        changes = {**STILL, **ADAM, "trainer__max_epochs": epochs, "num_device": devices}
        config = make_config(TOO_LONG, exp_dir=str(tmp_path / name / "exp"), **changes)
        base_train(with_tokenizer(config))  # without the System, which would refuse it
    expected = weights(tmp_path / "short")
    for name, value in weights(tmp_path / "long").items():
        assert value.equal(expected[name])


def test_validation_scores_are_those_of_the_others(make_config: MakeConfig, tmp_path: Path) -> None:
    still = {"optimizer__lr": 0.0, "optimizer__weight_decay": 0.0}
    scores = []
    for name, valid in (("with", [*FITS, *TOO_LONG]), ("without", FITS)):
        exp = str(tmp_path / name / "exp")
        train(make_config(FITS, valid, exp_dir=exp, **still))
        scores.append(last_row(tmp_path / name))
    for name in ("valid/loss", "valid/ter"):
        assert float(scores[0][name]) == pytest.approx(float(scores[1][name]), rel=1e-5)
    assert float(scores[0]["valid/too_short"]) == 50.0


def test_a_dataset_may_give_other_texts_than_its_manifest(
    make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config(TOO_LONG)
    config.dataset.train[0].transform = {"_target_": f"{__name__}.Shortening"}
    ASRSystem(training_config=config).collect_stats()
    train(config)
    assert warnings(caplog) == []


def test_a_model_that_does_not_say_its_lengths_trains(
    make_config: MakeConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = make_config([*TOO_LONG, FITS[0]], model___target_=f"{__name__}.Silent")
    with caplog.at_level(logging.INFO):
        train(config)
    assert "Silent has no output_lengths" in caplog.text
    assert float(last_row(tmp_path)["train/too_short"]) == 80.0


def test_shapes_that_are_not_there_or_damaged(make_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> None:
    config = make_config([*TOO_LONG, FITS[0]], model__normalize="utterance")
    shapes = Path(config.stats_dir, stats_key(config), "train", "feats_shape")
    shapes.write_text(shapes.read_text().replace("train-2 41,20", "train-2 41.5"))
    with pytest.raises(DataError, match="feats_shape, line 3 is damaged"):
        train(config)
    shapes.unlink()
    with caplog.at_level(logging.INFO):
        train(config)
    assert f"There is no {shapes}" in caplog.text

"""Values become what their readers take before anything is stored or compared; what cannot is told with its line."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from espnet3.config.checks import check_slots
from espnet3.config.conversion import convert_slots
from espnet3.config.slots import as_plain, load_slots
from espnet3.pipeline.fingerprint import config_inputs
from espnet3.systems.asr.system import ASRSystem

TRAINING = """\
exp_dir: exp/a
data_dir: data
stats_dir: data/stats
dataset:
  train: [{data_src_args: {manifest: train.jsonl, skip: SKIP}}]
create_dataset: {speakers: SPEAKERS}
features: {_target_: espnet3.components.data.features.LogMel, sample_rate: 8000, n_mels: N_MELS, snip_edges: SNIP}
tokenizer: {_target_: espnet3.components.data.tokenizer.CharTokenizer, path: data/characters.json}
preprocessor: {_target_: espnet3.systems.asr.preprocessor.SpeechTextPreprocessor}
model: {_target_: espnet3.systems.asr.models.bilstm.BiLSTMCTC, channels: CHANNELS}
augment: [{_target_: espnet3.components.data.augment.SpeedPerturb, factors: [0.9, "1.1"]}]
optimizer: {_target_: torch.optim.AdamW, lr: LR, betas: [0.9, 0.98]}
best_model_criterion: [valid/loss, min]
trainer: {max_epochs: EPOCHS, gradient_clip_val: CLIP}
"""
MEANT = {"SKIP": "3", "SPEAKERS": "12", "N_MELS": "40", "SNIP": "false", "CHANNELS": "[4, 4, 8]", "LR": "0.01"}
MEANT |= {"EPOCHS": "18", "CLIP": "null"}
WRITTEN = {
    "SKIP": '"0x3"',
    "SPEAKERS": "012",
    "N_MELS": '"${oc.env:MELS,80}"',
    "SNIP": '"no"',
    "CHANNELS": "[4.0, '4', 08]",
}
WRITTEN |= {"LR": '"1e-2"', "EPOCHS": "1.8e1", "CLIP": '"null"'}
DATASET = """
from dataclasses import dataclass

@dataclass
class DatasetBuilder:
    data_dir: str
    speakers: int = 1

class Dataset:
    def __init__(self, manifest: str, skip: int = 0): ...
"""
Load = Callable[[Mapping[str, str]], tuple[dict[str, Any], list[str]]]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """The values of the training config after conversion, and all faults."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MELS", "40")
    monkeypatch.setenv("EMPTY", "")
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "__init__.py").write_text(DATASET)

    def run(values: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
        text = TRAINING
        for name, value in {**MEANT, **values}.items():
            text = text.replace(f" {name}", f" {value}")
        Path("training.yaml").write_text(text)
        slots = convert_slots(ASRSystem.config_models, load_slots({"training_config": Path("training.yaml")}), tmp_path)
        return as_plain(slots["training_config"]), list(map(str, check_slots(ASRSystem, slots, ["train"], tmp_path)))

    return run


def test_values_are_the_same_however_they_were_written(load: Load) -> None:
    meant, no_faults = load({})
    written, none_either = load(WRITTEN)
    assert no_faults == none_either == []
    assert repr(written) == repr(meant)
    assert config_inputs(written).fingerprint == config_inputs(meant).fingerprint


def test_what_needs_no_conversion_stays_the_same_object(tmp_path: Path) -> None:
    (tmp_path / "metrics.yaml").write_text("exp_tag: '012'\nseed: 12\nnote: \\${a}\nown: '40'\n")
    slots = load_slots({"metrics_config": tmp_path / "metrics.yaml"})
    converted = convert_slots(ASRSystem.config_models, slots, tmp_path)
    assert converted["metrics_config"] is slots["metrics_config"]


def test_a_text_that_looks_like_an_interpolation_survives(tmp_path: Path) -> None:
    (tmp_path / "metrics.yaml").write_text("exp_tag: \\${a}\nseed: '12'\n")
    slots = convert_slots(ASRSystem.config_models, load_slots({"metrics_config": tmp_path / "metrics.yaml"}), tmp_path)
    assert as_plain(slots["metrics_config"]) == {"exp_tag": "${a}", "seed": 12}


FAULTS = {
    "a truth value for a number": (
        {"N_MELS": "yes"},
        "training.yaml:7: training_config.features.n_mels: needs a whole",
    ),
    "a fraction": ({"N_MELS": "40.5"}, "features.n_mels: needs a whole number, and 40.5 is not one."),
    "a word": ({"SNIP": "maybe"}, "features.snip_edges: needs true or false, and 'maybe' is text."),
    "a time of day": ({"SPEAKERS": "12:30"}, "training.yaml:6: training_config.create_dataset.speakers: needs a whole"),
    "in a list": (
        {"CHANNELS": "[4, x, 8]"},
        "training.yaml:10: training_config.model.channels.1: needs a whole number",
    ),
    "of a library": (
        {"LR": "fast"},
        "training.yaml:12: training_config.optimizer.lr: needs a number, and 'fast' is text.",
    ),
    "of a section": ({"EPOCHS": "on"}, "training.yaml:14: training_config.trainer.max_epochs: needs a whole number"),
    "of a dataset": ({"SKIP": "[1]"}, "training_config.dataset.train.0.data_src_args.skip: needs a whole number"),
    "not a number": ({"LR": ".nan"}, "training_config.optimizer.lr: needs a number, and nan is not one."),
    "an empty variable": ({"N_MELS": '"${oc.env:EMPTY}"'}, "n_mels: needs a whole number, and this text is empty."),
}


@pytest.mark.parametrize(("values", "finding"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_converted_is_told_with_its_line(load: Load, values: dict[str, str], finding: str) -> None:
    (found,) = load(values)[1]
    assert finding in found

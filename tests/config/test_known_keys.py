"""No key is ignored: a misspelt one is refused, upstream's is translated, a recipe's own that nobody reads is told."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from espnet3.config.checks import check_slots
from espnet3.config.known_keys import unknown_keys
from espnet3.config.sections import read_config
from espnet3.config.slots import load_slots
from espnet3.config.unused_keys import unused_keys
from espnet3.config.upstream_keys import UPSTREAM
from espnet3.errors import ConfigError
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.base.config import Dataloader, InitParam, Parallel, Section, Trainer, TrainingConfig

TRAINING, INFERENCE, METRICS, PUBLICATION = (
    f"{name}_config" for name in ("training", "inference", "metrics", "publication")
)
FAULTS: list[tuple[str, dict[str, Any], dict[str, str]]] = [
    (TRAINING, {"trainer": {"max_epoch": 1}}, {"trainer.max_epoch": "did you mean max_epochs?"}),
    (TRAINING, {"trainer": {"zzz": 1}}, {"trainer.zzz": "there is no such key here; known are max_epochs, max_steps"}),
    (TRAINING, {"trainer": {"zzz": None}}, {"trainer.zzz": "there is no such key here"}),
    (TRAINING, {"dataloader": {"batch_second": 1}}, {"dataloader.batch_second": "did you mean batch_seconds?"}),
    (TRAINING, {"init_param": {"files": "x"}}, {"init_param.files": "did you mean file?"}),
    (TRAINING, {"dataset": {"validation": []}}, {"dataset.validation": "did you mean valid?"}),
    (TRAINING, {"dataset": {"train": [{"args": {}}]}}, {"dataset.train.0.args": "known are data_src, data_src_args"}),
    (TRAINING, {"optimzer": {}}, {"optimzer": "did you mean optimizer?"}),
    (TRAINING, {"my_own": {"trainer": {"zzz": 1}}}, {}),
    (TRAINING, {"create_dataset": {"zzz": 1}, "model": {"zzz": 1}}, {}),
    (INFERENCE, {"parallel": {"shard": 2}}, {"parallel.shard": "did you mean shards?"}),
    (INFERENCE, {"parallel": {1: 2}}, {"parallel.1": "there is no such key here"}),
    (METRICS, {"metrics": [{"metric": {}, "input": {}}]}, {"metrics.0.input": "did you mean inputs?"}),
    (PUBLICATION, {"pack_model": {"license": "x"}}, {"pack_model.license": "did you mean licence?"}),
    (PUBLICATION, {"pack_model": {"onnx": {"int4": True}}}, {"pack_model.onnx.int4": "did you mean int8?"}),
    (
        PUBLICATION,
        {"pack_model": {"benchmarks": [{"zzz": 1}]}},
        {"pack_model.benchmarks.0.zzz": "there is no such key"},
    ),
    (PUBLICATION, {"upload_demo": {"repos": "a/b"}}, {"upload_demo.repos": "did you mean repo?"}),
    (TRAINING, {"trainer": {"strategy": "ddp"}}, {"trainer.strategy": "data parallel"}),
    (TRAINING, {"trainer": {"callbacks": [1]}}, {"trainer.callbacks": "keep_checkpoints"}),
    (TRAINING, {"trainer": {"devices": 2, "logger": []}}, {"trainer.devices": "Set num_device at the top."}),
    (TRAINING, {"task": "espnet3.systems.asr.task.ASRTask"}, {"task": "Name the model: model: {_target_: ...}"}),
    (TRAINING, {"task": None, "fit": {}, "init": None, "scheduler_monitor": None}, {}),
    (TRAINING, {"fit": {"ckpt_path": "x"}}, {"fit": "trainer.resume"}),
    (TRAINING, {"scheduler_interval": "epoch"}, {"scheduler_interval": "optimizer steps"}),
    (TRAINING, {"schedulers": {"a": {}}}, {"schedulers": "There is one optimizer"}),
    (TRAINING, {"parallel": {"env": "slurm", "n_workers": 3}}, {"parallel": "num_workers"}),
    (
        TRAINING,
        {"dataloader": {"train": {"iter_factory": {"batches": {"batch_bins": 1}}}, "valid": {"batch_size": 1}}},
        {"dataloader.train.iter_factory": "batch_seconds", "dataloader.valid": "batch_seconds"},
    ),
    (TRAINING, {"dataloader": {"batch_bins": 4000000}}, {"dataloader.batch_bins": "Set dataloader.batch_seconds"}),
    (
        TRAINING,
        {"dataset": {"_target_": "espnet3.components.data.data_organizer.DataOrganizer", "preprocessor": {"a": 1}}},
        {"dataset._target_": "leave it out", "dataset.preprocessor": "Set preprocessor at the top"},
    ),
    (
        INFERENCE,
        {
            "parallel": {"env": "local", "n_workers": 4},
            "input_key": "speech",
            "output_fn": "src.inference.build_output",
        },
        {
            "parallel.env": "leave it out",
            "parallel.n_workers": "Set parallel.workers",
            "input_key": "whole samples",
            "output_fn": "output_keys",
        },
    ),
    (PUBLICATION, {"pack_model": {"out_dir": "x"}}, {"pack_model.out_dir": "Write pack_dir."}),
    (PUBLICATION, {"upload_model": {"hf_repo": "a/b"}}, {"upload_model.hf_repo": "Write repo: owner/name."}),
]


@pytest.mark.parametrize(("slot", "config", "expected"), FAULTS, ids=[str(config)[:60] for _, config, _ in FAULTS])
def test_a_key_that_nobody_reads_is_told(slot: str, config: dict[str, Any], expected: dict[str, str]) -> None:
    found = {
        ".".join(each.fault.key): each.fault.message
        for each in unknown_keys(ASRSystem.config_models[slot], config, slot, set())
    }
    assert found.keys() == expected.keys()
    for key, message in expected.items():
        assert message in found[key]


def test_a_stage_that_is_called_by_hand_says_the_same() -> None:
    config = {"trainer": {"max_epoch": 1}, "exp_dir": "a", "stats_dir": "b", "data_dir": "c", "dataset": {}}
    targets = {name: {"_target_": "src.X"} for name in ("features", "preprocessor", "model", "optimizer")}
    with pytest.raises(ConfigError, match=r"^training_config\.trainer\.max_epoch: did you mean max_epochs\?$"):
        read_config(TrainingConfig, {**config, **targets, "my_own": 1}, TRAINING)


def test_a_node_needs_a_target() -> None:
    config: dict[str, Any] = {"exp_dir": "a", "stats_dir": "b", "data_dir": "c", "dataset": {}}
    config |= {"features": {"_target_": "src.X"}, "preprocessor": {"_target_": "src.X"}}
    config |= {"model": {"hidden_size": 3}, "optimizer": "src.X", "augment": [{"factors": [1.0]}]}
    with pytest.raises(ConfigError) as error:
        read_config(TrainingConfig, config, TRAINING)
    lines = {line.split(": ")[0]: line for line in str(error.value).splitlines()}
    assert list(lines) == [f"{TRAINING}.{key}" for key in ("augment.0", "model", "optimizer")]
    assert "needs a _target_, the dotted name of the class or function" in lines[f"{TRAINING}.model"]
    assert "needs a mapping, and 'src.X' is text. Write {_target_: src.X}." in lines[f"{TRAINING}.optimizer"]


def test_upstreams_keys_are_none_of_ours() -> None:
    for slot, keys in UPSTREAM.items():
        for key in keys:
            assert list(unknown_keys(ASRSystem.config_models[slot], nested(key), slot, set())), f"{slot}.{key} is ours"


def nested(key: str) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {first: nested(rest) if rest else "value"}


@pytest.mark.parametrize("slot", UPSTREAM)
def test_what_to_write_instead_is_ours(slot: str) -> None:
    sections: dict[str, type[Section]] = {
        "trainer": Trainer,
        "dataloader": Dataloader,
        "parallel": Parallel,
        "init_param": InitParam,
    }
    named = re.findall(r"\b(trainer|dataloader|parallel|init_param)\.(\w+)", " ".join(UPSTREAM[slot].values()))
    assert [key for section, key in named if key not in sections[section].model_fields] == []


Unused = Callable[..., list[str]]


@pytest.fixture
def unused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unused:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()

    def run(training: str, inference: str = "", code: str = "", stages: tuple[str, ...] = ("train",)) -> list[str]:
        Path("training.yaml").write_text(f"exp_dir: exp\n{training}\n")
        Path("inference.yaml").write_text(f"{inference}\n")
        Path("src/system.py").write_text(code)
        slots = load_slots({TRAINING: Path("training.yaml"), INFERENCE: Path("inference.yaml")})
        return [str(each) for each in unused_keys(ASRSystem, slots, stages, tmp_path)]

    return run


@pytest.mark.parametrize(
    ("training", "inference", "code", "told"),
    [
        pytest.param("learning_speed: 3", "", "", ["training.yaml:2: training_config.learning_speed: "], id="unread"),
        pytest.param("corpus: /data/x\naudio: ${corpus}/a", "", "", ["training_config.audio: "], id="an interpolation"),
        pytest.param("export: {a: 1}", "", "def export(self):\n    return self.training_config.export", [], id="code"),
        pytest.param("export: {a: 1}", "", "def exports(self): ...", ["training_config.export: "], id="other code"),
        pytest.param("inference_dir: x", "", "", [], id="what another slot inherits"),
        pytest.param("optimzer: {}", "", "", [], id="a misspelling is a fault"),
        pytest.param("task: x", "", "", [], id="upstream's is a fault"),
        pytest.param("task: null", "", "", ["training_config.task: "], id="upstream's without a value"),
        pytest.param("seed: 1", "whatever: 1", "", [], id="a slot that no stage needs"),
    ],
)
def test_an_own_key_that_nobody_reads_is_told(
    unused: Unused, training: str, inference: str, code: str, told: list[str]
) -> None:
    found = unused(training, inference, code)
    assert len(found) == len(told)
    for line, part in zip(found, told, strict=True):
        assert part in line
        assert "is not used" in line


@pytest.mark.parametrize(
    ("training", "code", "told"),
    [
        ("dataset_dir: /x", "", True),
        ("dataset_dir: /x\ncreate_dataset: {folder: '${dataset_dir}'}", "", False),
        ("dataset_dir: /x", "def make(config): return config.dataset_dir", False),
        ("dataset_dir: /x", "def make(config): return config['dataset_dir']", False),
        ("dataset_dir: /x", '"""Not where a dataset_dir is only spoken of."""', True),
        ("optimzer: {lr: 1}\nmodel: {lr: '${optimzer.lr}'}", "", False),
        ("dataset: {preprocessor: {a: 1}}", "def f(config): return config.preprocessor", True),
    ],
)
def test_a_key_that_somebody_reads_is_not_wrong(unused: Unused, training: str, code: str, told: bool) -> None:
    unused(training, "", code)
    slots = load_slots({TRAINING: Path("training.yaml")})
    names = {line.message.split(":")[0] for line in check_slots(ASRSystem, slots, ["train"], Path.cwd())}
    key = "dataset.preprocessor" if "preprocessor" in training else training.partition(":")[0]
    assert (f"{TRAINING}.{key}" in names) == told


def test_a_run_config_says_no_more_of_keys_that_were_read(tmp_path: Path) -> None:
    slots = {TRAINING: OmegaConf.create({"dataset_dir": "/x", "optimzer": {}})}
    names = {line.message.split(":")[0] for line in check_slots(ASRSystem, slots, ["train"], tmp_path)}
    assert f"{TRAINING}.dataset_dir" not in names
    assert f"{TRAINING}.optimzer" in names


def test_it_is_told_for_every_slot_that_is_needed(unused: Unused) -> None:
    found = unused("own: 1", "own: 2", stages=("train", "infer"))
    assert [line.split(": ")[0] for line in found] == ["training.yaml:2", "inference.yaml:1"]


def test_values_of_sections_are_converted_for_a_stage_that_is_called_by_hand() -> None:
    plain: dict[str, Any] = {"exp_dir": "a", "stats_dir": "b", "data_dir": "c", "dataset": {}, "seed": "012"}
    plain |= {name: {"_target_": "src.X"} for name in ("features", "preprocessor", "model", "optimizer")}
    plain |= {"trainer": {"max_epochs": "3", "ema_decay": "0.9"}, "best_model_criterion": ["valid/ter", "min"]}
    settings = read_config(TrainingConfig, OmegaConf.create(plain), TRAINING)
    assert (settings.seed, settings.trainer.max_epochs, settings.trainer.ema_decay) == (12, 3, 0.9)
    assert settings.best_model_criterion == ("valid/ter", "min")

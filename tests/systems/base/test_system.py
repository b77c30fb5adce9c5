from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from espnet3.errors import ConfigError
from espnet3.systems.base.system import BaseSystem

STAGES = [
    "create_dataset",
    "collect_stats",
    "train",
    "infer",
    "measure",
    "pack_model",
    "upload_model",
    "pack_demo",
    "upload_demo",
]
TRAINING = {"exp_dir": "exp/a", "data_dir": "data", "stats_dir": "data/stats"}
INFERENCE = {"inference_dir": "exp/a/greedy"}


def full_system(**mapping: str) -> BaseSystem:
    return BaseSystem(
        training_config=TRAINING,
        inference_config=INFERENCE,
        metrics_config={"inference_dir": "exp/a/scores"},
        publication_config={},
        stage_log_mapping=mapping,
    )


def test_has_the_nine_stages_in_order() -> None:
    assert list(BaseSystem.stage_specs) == STAGES


@pytest.mark.parametrize(
    "config", [TRAINING, OmegaConf.create(TRAINING), None], ids=["mapping", "DictConfig", "left out"]
)
def test_takes_configs_and_their_aliases(config: Any) -> None:
    system = BaseSystem(training_config=config, inference_config=config)
    assert system.train_config is system.training_config
    assert system.infer_config is system.inference_config
    assert system.training_config == (None if config is None else OmegaConf.create(TRAINING))


def test_aliases_stay_in_step() -> None:
    system = BaseSystem(training_config=TRAINING)
    system.train_config = {"exp_dir": "b"}
    system.infer_config = {"inference_dir": "c"}
    assert system.training_config == {"exp_dir": "b"}
    assert system.inference_config == {"inference_dir": "c"}
    system.training_config = OmegaConf.create({"exp_dir": "d"})
    assert system.train_config == {"exp_dir": "d"}


def test_exp_dir_is_a_path() -> None:
    assert BaseSystem(training_config=TRAINING).exp_dir == Path("exp/a")


@pytest.mark.parametrize("training", [None, {"data_dir": "data"}], ids=["no training config", "no such key"])
def test_exp_dir_that_is_not_there_says_what_to_give(training: Any) -> None:
    with pytest.raises(ConfigError, match="training_config with the key exp_dir"):
        _ = BaseSystem(training_config=training).exp_dir


@pytest.mark.parametrize("config", ["conf/training.yaml", ["a"]], ids=["path", "list"])
def test_refuses_what_is_no_config(config: Any) -> None:
    with pytest.raises(ConfigError, match="training_config must be a mapping"):
        BaseSystem(training_config=config)


@pytest.mark.parametrize(
    ("stage", "directory"),
    [
        ("create_dataset", "data"),
        ("collect_stats", "data/stats"),
        ("train", "exp/a"),
        ("infer", "exp/a/greedy"),
        ("measure", "exp/a/scores"),
        ("pack_model", "exp/a"),
        ("upload_model", "exp/a"),
        ("pack_demo", "exp/a"),
        ("upload_demo", "exp/a"),
    ],
)
def test_logs_where_the_table_says(stage: str, directory: str) -> None:
    assert full_system().log_directory(stage) == Path(directory)


def test_log_directory_falls_back_to_exp_dir_then_to_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert BaseSystem(training_config={"exp_dir": "exp"}).log_directory("infer") == Path("exp")
    assert BaseSystem().log_directory("infer") == tmp_path / "logs"


def test_explicit_log_mapping_wins() -> None:
    system = full_system(infer="training_config.exp_dir")
    assert system.log_directory("infer") == Path("exp/a")
    assert system.log_directory("measure") == Path("exp/a/scores")


@pytest.mark.parametrize(
    ("reference", "directory"),
    [
        ("train_config.exp_dir", "exp/a"),
        ("train_config.data_dir", "data"),
        ("infer_config.inference_dir", "exp/a/greedy"),
        ("training_config.nowhere", "exp/a"),
        ("train_config.nowhere", "exp/a"),
        ("publication_config.nowhere", "exp/a"),
    ],
)
def test_log_mapping_takes_aliases_and_falls_back_where_there_is_no_value(reference: str, directory: str) -> None:
    assert full_system(measure=reference).log_directory("measure") == Path(directory)


@pytest.mark.parametrize("reference", ["training_config.exp_dir", "train_config.exp_dir", "infer_config.nowhere"])
def test_log_mapping_into_a_config_that_is_not_given_falls_back_to_logs(
    reference: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    system = BaseSystem(inference_config=INFERENCE, stage_log_mapping={"infer": reference})
    assert system.log_directory("infer") == tmp_path / "logs"


def test_log_mapping_whose_value_cannot_be_resolved_is_refused() -> None:
    training = {"exp_dir": "${nowhere}/a"}
    system = BaseSystem(training_config=training, stage_log_mapping={"infer": "train_config.exp_dir"})
    with pytest.raises(ConfigError, match=r"train_config\.exp_dir does not resolve"):
        system.log_directory("infer")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"infre": "training_config.exp_dir"}, "no stage 'infre'; its stages: create_dataset"),
        ({"infer": "exp"}, "not a reference into a config slot"),
        ({"infer": "training_config"}, "not a reference into a config slot"),
    ],
    ids=["stage", "slot", "key"],
)
def test_log_mapping_with_wrong_names_is_refused(mapping: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        BaseSystem(stage_log_mapping=mapping)


@pytest.mark.parametrize(("stage", "slot"), [(s, spec.slots[0]) for s, spec in BaseSystem.stage_specs.items()])
def test_stage_without_its_config_names_the_flag(stage: str, slot: str) -> None:
    with pytest.raises(ConfigError, match=f"{stage} needs {slot}: .* --{slot} FILE"):
        getattr(BaseSystem(), stage)()


@pytest.mark.parametrize("name", ["train", "log_directory"])
def test_stage_methods_take_no_arguments(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(BaseSystem(), name)("a", "b")

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from espnet3.pipeline.code import recipe_digests
from espnet3.pipeline.fingerprint import (
    Covered,
    StageRun,
    cover,
    current_covered,
    current_fingerprint,
    differences,
    fingerprint_of,
    forced,
    running,
    stage_covered,
    stage_fingerprint,
)
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.base.system import BaseSystem

TRAINING: dict[str, Any] = {
    "exp_dir": "exp",
    "dataset": {"train": [{"data_src": "a/asr"}], "test": [{"name": "t", "data_src": "a/asr"}, {"name": "u"}]},
    "create_dataset": {"seed": 1},
    "tokenizer": {"path": "t.json"},
    "own": {"deep": [1, {"x": 2}]},
    "num_workers": 4,
}


def covered(stage: str, training: Any = TRAINING, system: Any = ASRSystem, files: Any = None) -> Covered:
    return cover(system, [stage], {"training_config": DictConfig(training)}, files or {})[stage]


def test_is_a_hash_of_the_values_whatever_their_order() -> None:
    one, other = {"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": [1, 2]}, "a": 1}
    assert fingerprint_of(one) == fingerprint_of(OmegaConf.create(other))
    assert len(fingerprint_of(one)) == 64
    assert fingerprint_of(one) != fingerprint_of({"a": 1, "b": {"c": [2, 1]}})


def test_training_covers_keys_of_a_users_own_but_no_cosmetic_ones() -> None:
    keys = {key.partition(".")[2] for key in covered("train") if key.startswith("training_config.")}
    assert keys == {"dataset.train.0.data_src", "tokenizer.path", "own.deep.0", "own.deep.1.x"}


def test_data_cover_the_sources_of_test_sets_only() -> None:
    assert covered("create_dataset")["training_config.dataset.test.*.data_src"] == ['"a/asr"']
    more = {**TRAINING, "dataset": {**TRAINING["dataset"], "test": [{"name": "other", "data_src": "a/asr"}]}}
    assert covered("create_dataset", more) == covered("create_dataset")


def test_covers_earlier_stages_files_system_and_package() -> None:
    names = set(covered("collect_stats", files={"dataset/a.py": "0", "src/a.py": "0"}))
    assert names >= {"after:create_dataset", "file:dataset/a.py", "system", "package"}
    assert "file:src/a.py" not in names
    assert covered("train")["system"] == "espnet3.systems.asr.system.ASRSystem"
    assert covered("train", system=BaseSystem) != covered("train")


def test_covers_only_what_a_record_gives_back() -> None:
    values = covered("train", {**TRAINING, "own": Path("a/b")})
    assert values == json.loads(json.dumps(values))


def test_an_empty_part_is_none() -> None:
    assert covered("train", {**TRAINING, "augment": [], "model": {}}) == covered("train")


def test_a_slot_that_is_not_there_covers_nothing() -> None:
    assert not [key for key in cover(ASRSystem, ["infer"], {}, {})["infer"] if key.startswith("inference_config")]


def test_prose_and_run_py_do_not_count() -> None:
    assert set(recipe_digests({"run.py": "", "src/README.md": "", "src/a.py": "", "dataset/list.txt": ""})) == {
        "src/a.py",
        "dataset/list.txt",
    }


def test_a_stage_sees_what_it_runs_under() -> None:
    assert (current_fingerprint(), current_covered(), forced()) == (None, None, False)
    with running(StageRun("f", {"a": 1}, forced=True)):
        assert (current_fingerprint(), current_covered(), forced()) == ("f", {"a": 1}, True)
        assert stage_fingerprint({"b": 2}) == "f"
        assert stage_covered({"b": 2}) == {"a": 1}
    assert (current_fingerprint(), forced()) == (None, False)


def test_a_system_used_by_hand_has_a_fingerprint_over_its_config() -> None:
    config = OmegaConf.create({"a": {"b": 1}, "parallel": {"shards": 2}})
    assert stage_fingerprint(config) == stage_fingerprint({"a": {"b": 1}, "parallel": {"shards": 3}})
    assert stage_fingerprint(config) != stage_fingerprint({"a": {"b": 2}})
    assert stage_covered(config) == {"a.b": 1}


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ({"training_config.a.b": 1}, {"training_config.a.b": "x"}, 'a.b: 1 → "x"'),
        ({}, {"inference_config.a": None}, "a: (not set) → null"),
        ({"a": [1]}, {}, "a: [1] → (not set)"),
        ({"file:src/a.py": "0"}, {"file:src/a.py": "1"}, "src/a.py changed"),
        ({}, {"file:src/a.py": "1"}, "src/a.py is new"),
        ({"file:src/a.py": "0"}, {}, "src/a.py is gone"),
        ({"after:train": "0"}, {"after:train": "1"}, "train has other settings"),
        ({"package": "0.1.0"}, {"package": "0.2.0"}, "package 0.1.0 → 0.2.0"),
    ],
    ids=["changed", "new", "gone", "file", "new file", "file gone", "stage", "package"],
)
def test_differences_are_told_one_by_one(old: Covered, new: Covered, line: str) -> None:
    assert differences(old | {"same": 1}, new | {"same": 1}) == [line]

"""Parts of a stage in containers of their own, and putting them together."""

import pytest

from espnet3.errors import ConfigError
from espnet3.pipeline.shard import Shard
from stages import _environment
from tests.stages.conftest import Place

COUNT = {"ESPNET3_SHARD_COUNT": "3"}


@pytest.fixture
def trained(sharded: Place) -> Place:
    for stage in ("create_dataset", "collect_stats", "train"):
        assert sharded.run(stage).code == 0
    return sharded


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ({}, None),
        ({"ESPNET3_SHARD_COUNT": "1", "ESPNET3_SHARD_INDEX": "0"}, None),
        ({"ESPNET3_SHARD_COUNT": "1", "ESPNET3_SHARD_INDEX": "merge"}, None),
        ({"ESPNET3_SHARD_COUNT": "", "ESPNET3_SHARD_INDEX": ""}, None),
        ({"JOB_COMPLETION_INDEX": "4"}, None),
        ({**COUNT, "ESPNET3_SHARD_INDEX": "0"}, Shard(3, 0)),
        ({**COUNT, "ESPNET3_SHARD_INDEX": "2"}, Shard(3, 2)),
        ({**COUNT, "JOB_COMPLETION_INDEX": "1"}, Shard(3, 1)),
        ({**COUNT, "ESPNET3_SHARD_INDEX": "2", "JOB_COMPLETION_INDEX": "1"}, Shard(3, 2)),
        ({**COUNT, "ESPNET3_SHARD_INDEX": "merge", "JOB_COMPLETION_INDEX": "1"}, Shard(3)),
    ],
    ids=str,
)
def test_the_environment_says_which_part(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], shard: Shard | None
) -> None:
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _environment.shard() == shard


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (COUNT, "neither ESPNET3_SHARD_INDEX nor JOB_COMPLETION_INDEX says which"),
        ({**COUNT, "ESPNET3_SHARD_INDEX": "3"}, "is 3, but there are 3 shards"),
        ({**COUNT, "ESPNET3_SHARD_INDEX": "-1"}, "is '-1'; it must be a number"),
        ({**COUNT, "ESPNET3_SHARD_INDEX": "Merge"}, "is 'Merge'; it must be a number"),
        ({**COUNT, "ESPNET3_SHARD_INDEX": "²"}, "must be a number"),
        ({"ESPNET3_SHARD_COUNT": "three"}, "ESPNET3_SHARD_COUNT is 'three'"),
        ({"ESPNET3_SHARD_COUNT": "-2"}, "ESPNET3_SHARD_COUNT is '-2'"),
        ({"ESPNET3_SHARD_COUNT": "1.5"}, "ESPNET3_SHARD_COUNT is '1.5'"),
    ],
    ids=str,
)
def test_what_names_no_part_is_refused(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], said: str) -> None:
    monkeypatch.delenv("JOB_COMPLETION_INDEX", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refused:
        _environment.shard()
    assert said in str(refused.value)


def test_only_the_merge_makes_it_done(trained: Place) -> None:
    done = trained.folder / "exp/toy/greedy/.done/infer.json"
    for index in ("2", "0", "1"):
        assert trained.run("infer", **COUNT, ESPNET3_SHARD_INDEX=index).code == 0
        assert not done.exists()
    assert trained.run("infer", **COUNT, ESPNET3_SHARD_INDEX="merge").code == 0
    assert done.exists()
    logs = sorted(path.name for path in (trained.folder / "exp/toy/greedy").glob("*.log"))
    assert logs == ["infer.log", "infer_shard0.log", "infer_shard1.log", "infer_shard2.log"]
    assert "already done" in trained.run("infer", **COUNT, ESPNET3_SHARD_INDEX="1").out


def test_a_merge_that_lacks_a_shard_names_it_and_is_tried_again(trained: Place) -> None:
    trained.run("infer", **COUNT, ESPNET3_SHARD_INDEX="1")
    ran = trained.run("infer", **COUNT, ESPNET3_SHARD_INDEX="merge")
    assert ran.code == 75
    assert "shards 0, 2 are missing" in ran.err
    assert trained.run("measure").code == 75


def test_the_next_stage_merges_what_is_complete(trained: Place) -> None:
    for index in "012":
        trained.run("infer", **COUNT, ESPNET3_SHARD_INDEX=index)
    ran = trained.run("measure")
    assert ran.code == 0, ran.err
    assert "DONE infer" in ran.out
    assert "DONE measure" in ran.out
    assert not (trained.folder / "exp/toy/greedy/.unfinished").exists()
    assert "already done" in trained.run("infer").out
    assert "already done" in trained.run("measure").out


def test_shards_are_merged_before_it_is_decided_whether_the_next_stage_is_done(trained: Place) -> None:
    for stage in ("infer", "measure"):
        assert trained.run(stage).code == 0
    forced = {**COUNT, "ESPNET3_FORCE": "infer"}
    for index in "012":
        trained.run("infer", **forced, ESPNET3_SHARD_INDEX=index)
    ran = trained.run("measure")
    assert "DONE infer" in ran.out
    assert "measure: already done" in ran.out  # for the same bytes came out


def test_a_stage_that_cannot_be_divided_says_so(trained: Place) -> None:
    ran = trained.run("train", **COUNT, ESPNET3_SHARD_INDEX="1", ESPNET3_FORCE="train")
    assert ran.code == 78
    assert "ESPNET3_SHARD_COUNT is 3, but train cannot be divided: unset it" in ran.err


def test_each_shard_of_a_wish_starts_over_once(trained: Place) -> None:
    for index in (*"012", "merge"):
        trained.run("infer", **COUNT, ESPNET3_SHARD_INDEX=index)
    wish = {**COUNT, "ESPNET3_FORCE": "infer", "ESPNET3_IDEMPOTENCY_KEY": "first"}
    for index in (*"012", "merge"):
        assert "DONE infer" in trained.run("infer", **wish, ESPNET3_SHARD_INDEX=index).out
    notes = {path.name for path in (trained.folder / ".runs").glob("*/forced/*")}
    assert notes == {"infer-0", "infer-1", "infer-2", "infer-merge"}
    assert "already done" in trained.run("infer", **wish, ESPNET3_SHARD_INDEX="1").out

"""What holds for batches whatever the durations, and how much of them is padding."""

import io
import logging
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from espnet3.components.data.batching import DurationBatches, Limits, Share, padding
from espnet3.errors import DataError
from espnet3.systems.base.config import Dataloader

Durations = NDArray[np.float64]

some_durations = st.lists(st.floats(0.05, 40.0), min_size=1, max_size=80).map(np.array)
some_limits = st.builds(
    Dataloader,
    batch_seconds=st.floats(1.0, 90.0),
    max_batch_size=st.integers(1, 20),
    num_buckets=st.integers(1, 9),
    jitter=st.floats(0.0, 3.0),
)
some_seeds = st.integers(0, 2**32 - 1)
worlds = st.sampled_from([1, 2, 3, 4, 8])


def on_every_rank(durations: Durations, limits: Limits, world: int, **options: Any) -> list[tuple[Share, ...]]:
    """What the ranks work on at the same time in epoch 3."""
    ranks = [DurationBatches(durations, limits, rank=rank, world=world, **options).epoch(3) for rank in range(world)]
    return list(zip(*ranks, strict=True))


def counted(shares: tuple[Share, ...]) -> list[int]:
    """The utterances that the ranks count."""
    return [index for share in shares if share.counted for index in share.indices]


@settings(deadline=None)
@given(some_durations, some_limits, some_seeds, worlds, st.booleans(), st.booleans())
def test_every_utterance_is_counted_once(
    durations: Durations, limits: Dataloader, seed: int, world: int, shuffle: bool, split: bool
) -> None:
    rounds = on_every_rank(durations, limits, world, seed=seed, shuffle=shuffle, split=split)
    assert all(share.indices for shares in rounds for share in shares)
    assert sorted(index for shares in rounds for index in counted(shares)) == list(range(len(durations)))


@settings(deadline=None)
@given(some_durations, some_limits, some_seeds, worlds)
def test_a_rank_works_for_nothing_only_where_there_is_nothing_left(
    durations: Durations, limits: Dataloader, seed: int, world: int
) -> None:
    for shares in on_every_rank(durations, limits, world, seed=seed):
        others = [share.indices for share in shares if not share.counted]
        assert len(others) == max(0, world - len(counted(shares)))
        assert all(set(indices) <= set(counted(shares)) for indices in others)


@settings(deadline=None)
@given(some_durations, some_limits, some_seeds, worlds)
def test_whole_batches_are_those_of_one_rank_in_turn(
    durations: Durations, limits: Dataloader, seed: int, world: int
) -> None:
    alone = DurationBatches(durations, limits, seed, shuffle=False).global_epoch(3)
    rounds = on_every_rank(durations, limits, world, seed=seed, shuffle=False, split=False)
    assert len(rounds) == -(-len(alone) // world)
    assert [share.indices for shares in rounds for share in shares if share.counted] == alone


@settings(deadline=None)
@given(some_durations, some_limits, some_seeds)
def test_limits_hold_but_for_a_single_long_utterance(durations: Durations, limits: Dataloader, seed: int) -> None:
    for batch in DurationBatches(durations, limits, seed).global_epoch(0):
        assert len(batch) <= limits.max_batch_size
        assert len(batch) == 1 or len(batch) * durations[batch].max() <= limits.batch_seconds


@settings(deadline=None)
@given(some_durations, some_limits, some_seeds, worlds)
def test_one_device_and_many_see_the_same_batches(
    durations: Durations, limits: Dataloader, seed: int, world: int
) -> None:
    alone = DurationBatches(durations, limits, seed).global_epoch(3)
    for batch, shares in zip(alone, on_every_rank(durations, limits, world, seed=seed), strict=True):
        assert sorted(counted(shares)) == sorted(batch)
        sizes = [len(share.indices) * share.counted for share in shares]
        assert max(sizes) - min(sizes) <= 1
        padded = sum(len(share.indices) * durations[share.indices].max() for share in shares)
        assert len(batch) < world or padded <= len(batch) * durations[batch].max() + 1e-9


@settings(deadline=None)
@given(some_durations, some_limits, some_seeds)
def test_seed_and_epoch_decide_alone(durations: Durations, limits: Dataloader, seed: int) -> None:
    first = DurationBatches(durations, limits, seed)
    first.epoch(1)
    assert first.epoch(7) == DurationBatches(durations, limits, seed).epoch(7)


def test_epochs_and_seeds_differ() -> None:
    durations, limits = synthetic(300), Dataloader()
    batches = DurationBatches(durations, limits, seed=1)
    assert batches.epoch(0) != batches.epoch(1)
    assert batches.epoch(0) != DurationBatches(durations, limits, seed=2).epoch(0)


def test_without_shuffling_epochs_are_the_same_and_sorted() -> None:
    durations = synthetic(300)
    batches = DurationBatches(durations, Dataloader(), seed=1, shuffle=False)
    assert batches.epoch(0) == batches.epoch(5)
    longest = [durations[batch].max() for batch in batches.global_epoch(0)]
    assert longest == sorted(longest)


def test_a_long_utterance_is_a_batch_of_its_own_and_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        batches = DurationBatches(np.array([2.0, 70.0, 2.0, 90.0, 2.0]), Dataloader(batch_seconds=60), seed=0)
        shapes = sorted(map(sorted, batches.global_epoch(0)))
        batches.epoch(1)
    assert [1] in shapes
    assert [3] in shapes
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "2 of 5 utterances are longer than dataloader.batch_seconds (60 s), the longest 90 s"
    ]


@pytest.mark.parametrize(
    ("durations", "message"),
    [
        pytest.param([], "no utterance", id="none"),
        pytest.param([1.0, 0.0], r"1 of 2 .* utterance 1 .* 0.0 s", id="zero"),
        pytest.param([-1.0], "not positive", id="negative"),
        pytest.param([1.0, float("nan"), float("inf")], "2 of 3", id="not finite"),
    ],
)
def test_wrong_durations_are_refused(durations: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        DurationBatches(np.array(durations), Dataloader(), seed=0)


def test_padding_counts_what_is_not_speech() -> None:
    durations = np.array([1.0, 3.0, 4.0])
    assert padding([[0, 1], [2]], durations) == pytest.approx(0.2)
    assert padding([[2]], durations) == 0


def test_padding_is_at_most_a_tenth_with_the_defaults() -> None:
    durations = synthetic(1000)
    assert padding(DurationBatches(durations, Dataloader(), seed=0).global_epoch(0), durations) <= 0.10


@pytest.mark.skipif("ESPNET3_AN4_ARCHIVE" not in os.environ, reason="ESPNET3_AN4_ARCHIVE does not name the AN4 archive")
@pytest.mark.parametrize("max_batch_size", [8, 16, 64])
def test_padding_is_at_most_a_tenth_on_an4(max_batch_size: int, an4_durations: Durations) -> None:
    assert len(an4_durations) == 948
    batches = DurationBatches(an4_durations, Dataloader(max_batch_size=max_batch_size), seed=2026)
    assert max(padding(batches.global_epoch(number), an4_durations) for number in range(10)) <= 0.10


def test_more_buckets_pad_less_and_more_jitter_pads_more() -> None:
    durations = synthetic(1000)

    def padded(**settings: Any) -> float:
        return padding(DurationBatches(durations, Dataloader(**settings), seed=0).global_epoch(0), durations)

    assert padded(num_buckets=12, jitter=1.0) < padded(num_buckets=4, jitter=1.0)
    assert padded(jitter=0.0) < padded(jitter=0.1) < padded(jitter=1.0)


@pytest.fixture(scope="module")
def an4_durations() -> Durations:
    with tarfile.open(Path(os.environ["ESPNET3_AN4_ARCHIVE"])) as archive:
        files = [m for m in archive if m.name.endswith(".sph") and "an4_clstk" in m.name]
        contents = (archive.extractfile(member) for member in files)
        infos = [soundfile.info(io.BytesIO(content.read())) for content in contents if content]
    return np.array([info.duration for info in infos])


def synthetic(count: int) -> Durations:
    """Durations like those of read speech: from half a second to about fifteen."""
    return np.random.default_rng(0).lognormal(1.0, 0.6, count).clip(0.5, 15.0)

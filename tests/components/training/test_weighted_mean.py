"""Means over batches and ranks, whatever each of them reports; and what a checkpoint keeps of them."""

import math

import pytest
import torch
from lightning.fabric import Fabric

from espnet3.components.training.outputs import Mean
from espnet3.components.training.weighted_mean import WeightedMean
from tests.components.training.on_ranks import on_ranks

CPU = torch.device("cpu")
Batch = tuple[dict[str, float], int]
"""What a model reports, and for how many units."""


def mean_of(batches: list[Batch]) -> WeightedMean:
    mean = WeightedMean()
    for stats, weight in batches:
        mean.add({name: torch.tensor(value) for name, value in stats.items()}, torch.tensor(weight))
    return mean


def test_means_are_weighted() -> None:
    assert mean_of([({"loss": 1.0}, 3), ({"loss": 5.0}, 1)]).result() == {"loss": 2.0}


def test_nothing_is_reported_where_nothing_was_added() -> None:
    mean = mean_of([({"loss": 1.0}, 3)])
    mean.clear()
    assert mean.result() == {}


def test_a_name_counts_in_the_batches_that_report_it() -> None:
    batches: list[Batch] = [({"loss": 1.0}, 1), ({"ter": 9.0, "loss": 4.0}, 2), ({"acc": 7.0}, 5)]
    assert mean_of(batches).result() == {"loss": 3.0, "ter": 9.0, "acc": 7.0}


def test_units_that_are_none_give_no_number() -> None:
    assert math.isnan(mean_of([({"loss": 1.0}, 0)]).result()["loss"])


SOME: list[Batch] = [({"loss": 1.0, "ter": 30.0}, 3)]
RANKS: dict[str, tuple[list[list[Batch]], dict[str, float]]] = {
    "all report": ([SOME, [({"loss": 5.0, "ter": 10.0}, 1)]], {"loss": 2.0, "ter": 25.0}),
    "the first has nothing": ([[], SOME], {"loss": 1.0, "ter": 30.0}),
    "the last has nothing": ([SOME, SOME, []], {"loss": 1.0, "ter": 30.0}),
    "none has anything": ([[], []], {}),
    "in another order": ([SOME, [({"ter": 10.0, "loss": 5.0}, 1)]], {"loss": 2.0, "ter": 25.0}),
    "other names": ([SOME, [({"loss": 5.0}, 1)], [({"acc": 7.0}, 9)]], {"loss": 2.0, "ter": 30.0, "acc": 7.0}),
}


@pytest.mark.parametrize("case", RANKS)
def test_every_rank_has_the_means_over_all(case: str) -> None:
    ranks, expected = RANKS[case]
    found = on_ranks(len(ranks), lambda fabric: mean_of(ranks[fabric.global_rank]).result())
    assert found == [expected] * len(ranks)


def test_a_checkpoint_keeps_the_sums() -> None:
    later = WeightedMean()
    later.load_state_dict(mean_of(SOME).state_dict(), CPU)
    later.add({"loss": torch.tensor(5.0), "ter": torch.tensor(10.0)}, torch.tensor(1))
    assert later.result() == {"loss": 2.0, "ter": 25.0}


@pytest.mark.parametrize(
    ("names", "sums", "means"),
    [
        (["loss"], [3.0, 2.0], {"loss": 1.5}),
        (["loss", "ter"], [3.0, 8.0, 2.0], {"loss": 1.5, "ter": 4.0}),
        (["loss", "ter"], [3.0, 8.0, 2.0, 4.0], {"loss": 1.5, "ter": 2.0}),
    ],
)
def test_a_checkpoint_with_one_weight_for_all_names_is_read(
    names: list[str], sums: list[float], means: dict[str, float]
) -> None:
    mean = WeightedMean()
    mean.load_state_dict({"names": names, "sums": sums}, CPU)
    assert mean.result() == means


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 4), (4, 2), (3, 2)])
def test_the_sums_of_all_ranks_are_there_on_more_or_fewer(before: int, after: int) -> None:
    states = [mean_of([({"loss": float(rank)}, rank + 1)]).state_dict() for rank in range(before)]

    def load(fabric: Fabric) -> dict[str, float]:
        mean = WeightedMean()
        for state in states[fabric.global_rank :: after]:
            mean.load_state_dict(state, CPU)
        return mean.result()

    units = sum(range(1, before + 1))
    expected = {"loss": sum(rank * (rank + 1) for rank in range(before)) / units}
    assert on_ranks(after, load) == [expected] * after


def test_a_stat_may_be_a_mean_over_units_of_its_own() -> None:
    mean = WeightedMean()
    for percent, utterances, tokens in [(100.0, 3, 0), (0.0, 5, 40), (50.0, 2, 6)]:
        too_short = Mean(torch.tensor(percent), torch.tensor(utterances))
        mean.add({"loss": torch.tensor(2.0), "too_short": too_short}, torch.tensor(tokens))
    assert mean.result() == {"loss": 2.0, "too_short": 40.0}

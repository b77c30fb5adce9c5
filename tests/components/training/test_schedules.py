"""Learning rate schedules, against torch's where it has the same one."""

import pytest
import torch
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from espnet3.components.training.optimization import build_optimizer, build_schedule
from espnet3.components.training.schedules import OneCycle, WarmupCosine

STEPS = 50


def make_optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)


def rates(optimizer: torch.optim.Optimizer, schedule: LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_one_cycle_is_torchs() -> None:
    optimizer, other = make_optimizer(), make_optimizer()
    reference = OneCycleLR(
        other, 2.0, total_steps=STEPS + 1, pct_start=0.1, div_factor=20, final_div_factor=50, cycle_momentum=False
    )
    found = rates(optimizer, OneCycle(optimizer, STEPS), STEPS)
    assert found == pytest.approx(rates(other, reference, STEPS))


def test_warmup_cosine_rises_to_the_top_and_falls_to_the_end() -> None:
    optimizer = make_optimizer()
    found = rates(optimizer, WarmupCosine(optimizer, STEPS, warmup_steps=10, final=0.1), STEPS + 1)
    assert found[:3] == pytest.approx([2 / 11, 4 / 11, 6 / 11])
    assert max(found) == found[10] == 2.0
    assert found[11:] == sorted(found[11:], reverse=True)
    assert found[-1] == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", [WarmupCosine, OneCycle])
def test_a_schedule_stays_at_its_end(schedule: type[WarmupCosine]) -> None:
    optimizer = make_optimizer()
    found = rates(optimizer, schedule(optimizer, STEPS), STEPS + 20)
    assert len(set(found[STEPS:])) == 1


def test_a_jump_is_as_good_as_the_steps() -> None:
    optimizer, other = make_optimizer(), make_optimizer()
    rates(optimizer, WarmupCosine(optimizer, STEPS), 20)
    WarmupCosine(other, STEPS).jump(20)
    assert optimizer.param_groups[0]["lr"] == other.param_groups[0]["lr"]


def test_torchs_schedules_can_be_named() -> None:
    node = {"_target_": "torch.optim.lr_scheduler.ExponentialLR", "gamma": 0.5}
    assert isinstance(build_schedule(node, make_optimizer(), STEPS), torch.optim.lr_scheduler.ExponentialLR)


def test_weight_decay_spares_vectors() -> None:
    model = torch.nn.Linear(2, 3)
    optimizer = build_optimizer({"_target_": "torch.optim.AdamW", "lr": 0.1, "weight_decay": 0.3}, model)
    decays = {len(group["params"][0].shape): group["weight_decay"] for group in optimizer.param_groups}
    assert decays == {2: 0.3, 1: 0.0}

"""CTC: the loss against an explicit sum over paths, and inputs that are too short."""

import itertools
import math

import pytest
import torch

from espnet3.components.modeling.ctc import CTC, collapse, frames_needed


def brute_force(log_probs: torch.Tensor, tokens: list[int]) -> float:
    frames, size = log_probs.shape
    total = 0.0
    for path in itertools.product(range(size), repeat=frames):
        if collapse(torch.tensor(path), frames) == tokens:
            total += math.exp(sum(log_probs[frame, symbol].item() for frame, symbol in enumerate(path)))
    return -math.log(total)


@pytest.mark.parametrize("tokens", [[1], [1, 2], [2, 2]], ids=str)
def test_the_loss_sums_over_all_paths(tokens: list[int]) -> None:
    torch.manual_seed(0)
    ctc = CTC(5, 3)
    log_probs = ctc(torch.randn(1, 4, 5))
    found = ctc.loss(log_probs, torch.tensor([4]), torch.tensor([tokens]), torch.tensor([len(tokens)]))
    assert found.losses.item() == pytest.approx(brute_force(log_probs[0], tokens), rel=1e-5)
    assert found.fits.tolist() == [True]


def test_utterances_that_are_too_short_add_nothing() -> None:
    ctc = CTC(5, 3)
    log_probs = ctc(torch.randn(2, 3, 5))
    tokens = torch.tensor([[1, 1, 2], [1, 2, -1]])
    found = ctc.loss(log_probs, torch.tensor([3, 3]), tokens, torch.tensor([3, 2]))
    alone = ctc.loss(log_probs[1:], torch.tensor([3]), tokens[1:, :2], torch.tensor([2]))
    assert found.fits.tolist() == [False, True]
    assert found.losses.tolist() == pytest.approx([0.0, alone.losses.item()])


def test_frames_needed_counts_a_blank_between_repeats() -> None:
    tokens = torch.tensor([[1, 1, 2, 2], [3, 3, 3, -1], [4, 5, -1, -1]])
    assert frames_needed(tokens, torch.tensor([4, 3, 2])).tolist() == [6, 5, 2]
    assert frames_needed(torch.zeros(1, 0, dtype=torch.long), torch.tensor([0])).tolist() == [0]

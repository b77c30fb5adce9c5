"""CTC probabilities of given sequences against trying everything, and against torch."""

import numpy as np
import pytest
import torch

from espnet3.systems.asr.decoding.ctc_scores import PrefixScorer, sequence_log_probs
from tests.systems.asr.decoding.problems import all_sequences, random_log_probs


@pytest.mark.parametrize("seed", range(4))
def test_sequences_have_the_sum_of_their_paths(seed: int) -> None:
    log_probs = random_log_probs(5, 3, seed)
    expected = all_sequences(log_probs)
    found = sequence_log_probs(log_probs, list(expected))
    np.testing.assert_allclose(found, list(expected.values()), atol=1e-9)


def test_sequences_agree_with_torch() -> None:
    log_probs = random_log_probs(40, 20, 1)
    sequences = [[3, 3, 5, 19, 1], [7], [2] * 15]
    lengths = torch.tensor([len(tokens) for tokens in sequences])
    repeated = torch.from_numpy(log_probs)[:, None].expand(-1, 3, -1)
    losses = torch.nn.functional.ctc_loss(
        repeated,
        torch.tensor([token for tokens in sequences for token in tokens]),
        torch.full((3,), 40),
        lengths,
        reduction="none",
    )
    np.testing.assert_allclose(sequence_log_probs(log_probs, sequences), -losses.numpy(), atol=1e-6)


def test_what_does_not_fit_is_impossible() -> None:
    log_probs = random_log_probs(3, 3, 0)
    assert sequence_log_probs(log_probs, [[1, 1, 1], [1, 2, 1, 2]]).tolist() == [-np.inf, -np.inf]
    assert sequence_log_probs(log_probs[:0], [[], [1]]).tolist() == [0.0, -np.inf]


@pytest.mark.parametrize("seed", range(4))
def test_a_prefix_has_the_sum_of_all_that_begin_with_it(seed: int) -> None:
    log_probs = random_log_probs(5, 4, seed)
    sequences = all_sequences(log_probs)
    scorer = PrefixScorer(log_probs)
    state, prefix = scorer.start(), tuple[int, ...]()
    for token in (2, 2, 3):
        tokens = np.array([[1, 2, 3]])
        found = scorer.extensions(state, tokens)[0]
        for choice, score in zip(tokens[0], found, strict=True):
            longer = (*prefix, int(choice))
            mass = sum(np.exp(value) for key, value in sequences.items() if key[: len(longer)] == longer)
            assert score == pytest.approx(np.log(mass) if mass else -np.inf, abs=1e-9)
        state, prefix = scorer.extend(state, np.array([token])), (*prefix, token)
        assert scorer.end(state)[0] == pytest.approx(sequences[prefix], abs=1e-9)


def test_an_empty_prefix_ends_as_silence() -> None:
    log_probs = random_log_probs(4, 3, 5)
    scorer = PrefixScorer(log_probs)
    assert scorer.end(scorer.start())[0] == pytest.approx(log_probs[:, 0].sum())

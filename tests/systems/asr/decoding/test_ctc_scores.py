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


def prefix_mass(sequences: dict[tuple[int, ...], float], prefix: tuple[int, ...]) -> float:
    mass = sum(np.exp(value) for key, value in sequences.items() if key[: len(prefix)] == prefix)
    return float(np.log(mass)) if mass else -np.inf


def impossible_here_and_there(log_probs: np.ndarray, seed: int) -> np.ndarray:
    changed = log_probs.copy()
    changed[np.random.default_rng(seed).random(changed.shape) < 0.25] = -np.inf
    changed[np.isneginf(changed).all(axis=1)] = log_probs[0]
    return changed - np.logaddexp.reduce(changed, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("possible", [True, False], ids=["all possible", "some impossible"])
@pytest.mark.parametrize("prefix", [(2, 2, 3), (1, 1, 1), (3, 1), (1, 2, 1, 2)], ids=str)
def test_a_prefix_has_the_sum_of_all_that_begin_with_it(seed: int, possible: bool, prefix: tuple[int, ...]) -> None:
    log_probs = random_log_probs(5, 4, seed)
    log_probs = log_probs if possible else impossible_here_and_there(log_probs, seed)
    sequences = all_sequences(log_probs)
    scorer = PrefixScorer([log_probs])
    state = scorer.start()
    for count, token in enumerate(prefix):
        tokens = np.array([[[1, 2, 3]]])
        expected = [prefix_mass(sequences, (*prefix[:count], int(choice))) for choice in tokens[0, 0]]
        np.testing.assert_allclose(scorer.extensions(state, tokens)[0, 0], expected, atol=1e-7)
        state = scorer.extend(state, np.array([[token]]))
        whole = sequences.get(prefix[: count + 1], -np.inf)
        np.testing.assert_allclose(scorer.end(state)[0, 0], whole, atol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_prefixes_of_a_batch_score_as_alone(seed: int) -> None:
    generator = np.random.default_rng(seed)
    utterances = [random_log_probs(frames, 6, seed + frames) for frames in (9, 1, 30)]
    scorer = PrefixScorer(utterances)
    alone = [PrefixScorer([log_probs]) for log_probs in utterances]
    state, states = scorer.start(), [each.start() for each in alone]
    for _ in range(6):
        tokens = generator.integers(1, 6, (3, state.last.shape[1], 4))
        for row, found in enumerate(scorer.extensions(state, tokens)):
            np.testing.assert_allclose(found, alone[row].extensions(states[row], tokens[row : row + 1])[0], atol=1e-12)
        parents, chosen = generator.integers(0, state.last.shape[1], (3, 3)), generator.integers(1, 6, (3, 3))
        state = scorer.extend(state.select(np.arange(3), parents), chosen)
        for row, each in enumerate(alone):
            states[row] = each.extend(states[row].select(np.array([0]), parents[row : row + 1]), chosen[row : row + 1])
            np.testing.assert_allclose(scorer.end(state)[row], each.end(states[row])[0], atol=1e-12)
    left = state.select(np.array([2]), np.array([[1]]))
    np.testing.assert_allclose(scorer.end(left)[0, 0], scorer.end(state)[2, 1])


def test_what_is_too_unlikely_for_a_number_has_a_logarithm() -> None:
    """A thousand frames of which the likeliest by far are others: the sums underflow, their logarithms do not."""
    log_probs = np.full((1000, 3), -0.01)
    log_probs[:, 1] = -900.0
    log_probs[500:, 2] = -2000.0
    scorer = PrefixScorer([log_probs])
    state = scorer.start()
    for tokens in ([1], [1, 2], [1, 2, 1]):
        expected = sequence_log_probs(log_probs, [tokens])[0]
        assert scorer.extensions(state, np.array([[[tokens[-1]]]]))[0, 0, 0] >= expected - 1e-6
        state = scorer.extend(state, np.array([[tokens[-1]]]))
        assert scorer.end(state)[0, 0] == pytest.approx(expected, abs=1e-6)


def test_an_empty_prefix_ends_as_silence() -> None:
    log_probs = random_log_probs(4, 3, 5)
    scorer = PrefixScorer([log_probs])
    assert scorer.end(scorer.start())[0, 0] == pytest.approx(log_probs[:, 0].sum())

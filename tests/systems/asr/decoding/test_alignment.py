"""Where tokens were heard: the best CTC path through a hypothesis."""

import itertools

import numpy as np
import pytest

from espnet3.systems.asr.decoding.alignment import align


def log_probs(frames: int, size: int, seed: int) -> np.ndarray:
    scores = np.random.default_rng(seed).normal(0, 2, (frames, size))
    return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)), np.float32)


def collapsed(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token)


@pytest.mark.parametrize("tokens", [(1,), (1, 2), (1, 1), (2, 1, 2), (1, 1, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_best_of_all_paths(tokens: tuple[int, ...], seed: int) -> None:
    scores = log_probs(6, 3, seed)
    paths = [path for path in itertools.product(range(3), repeat=6) if collapsed(path) == tokens]
    best = max(paths, key=lambda path: sum(float(scores[frame, token]) for frame, token in enumerate(path)))
    runs = [(token, [frame for frame, _ in run]) for token, run in itertools.groupby(enumerate(best), lambda x: x[1])]
    expected = [(frames[0], frames[-1] + 1) for token, frames in runs if token]
    found = align(scores, tokens)
    assert [(start, end) for start, end, _ in found] == expected
    for (start, end, confidence), token in zip(found, tokens, strict=True):
        assert confidence == pytest.approx(np.exp(scores[start:end, token]).mean())


@pytest.mark.parametrize(("frames", "tokens"), [(0, (1,)), (1, (1, 2)), (2, (1, 1))])
def test_too_few_frames_have_no_times(frames: int, tokens: tuple[int, ...]) -> None:
    assert align(log_probs(frames, 3, 1), tokens) == [(0, 0, 0.0)] * len(tokens)


def test_no_tokens_have_no_times() -> None:
    assert align(log_probs(4, 3, 1), ()) == []

"""Where in the audio the tokens of a hypothesis were heard: the best CTC path through them (Viterbi).

The demo and `espnet3.systems.asr.transcriber` show times and confidences with it; decoders do not need it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from espnet3.components.data.tokenizer import BLANK_ID


def align(log_probs: NDArray[np.float32], tokens: Sequence[int]) -> list[tuple[int, int, float]]:
    """First frame, frame after the last, and mean probability of each token on the best path.

    Args:
        log_probs: (T', V).
        tokens: ids without blanks.

    Returns:
        One entry for each token; all of them at frame 0 with confidence 0 where the frames are too few.
    """
    states = np.full(2 * len(tokens) + 1, BLANK_ID)
    states[1::2] = tokens
    path = _best_path(log_probs, states)
    if path is None:
        return [(0, 0, 0.0)] * len(tokens)
    found = []
    for number, token in enumerate(tokens):
        frames = np.flatnonzero(path == 2 * number + 1)
        confidence = float(np.exp(log_probs[frames, token]).mean())
        found.append((int(frames[0]), int(frames[-1]) + 1, confidence))
    return found


def _best_path(log_probs: NDArray[np.float32], states: NDArray[np.int_]) -> NDArray[np.int_] | None:
    """The state of each frame; None where no path passes through all tokens."""
    frames, size = len(log_probs), len(states)
    if not frames:
        return None
    may_skip = np.zeros(size, bool)  # from one token to the next without a blank, where they differ
    may_skip[2:] = (states[2:] != BLANK_ID) & (states[2:] != states[:-2])
    scores = np.full(size, -np.inf)
    scores[:2] = log_probs[0, states[:2]]
    steps = np.zeros((frames, size), np.int8)
    for frame in range(1, frames):
        stay, next_, skip = scores, np.full(size, -np.inf), np.full(size, -np.inf)
        next_[1:] = scores[:-1]
        skip[2:] = np.where(may_skip[2:], scores[:-2], -np.inf)
        choices = np.stack([stay, next_, skip])
        steps[frame] = choices.argmax(axis=0)
        scores = choices.max(axis=0) + log_probs[frame, states]
    state = size - 1 if size == 1 or scores[-1] >= scores[-2] else size - 2
    if not np.isfinite(scores[state]):
        return None
    path = np.empty(frames, np.int_)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(steps[frame, state])
    return path

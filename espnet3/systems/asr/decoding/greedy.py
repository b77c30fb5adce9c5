"""Greedy CTC decoding: the best token of each frame, repeats merged, blanks dropped (Graves et al., 2006)."""

from dataclasses import dataclass

import numpy as np

from espnet3.components.data.tokenizer import BLANK_ID
from espnet3.systems.asr.decoding.decoder import CTCDecoder, Hypothesis, Vocabulary


@dataclass(frozen=True)
class GreedyDecoder(CTCDecoder):
    """The most probable path; fast, and knows nothing of language beyond the model's own."""

    def __call__(self, log_probs: np.ndarray, tokenizer: Vocabulary) -> Hypothesis:
        """The hypothesis of the best path through (T', V) log probabilities; its score is that path's."""
        path = log_probs.argmax(axis=1)
        begins = np.concatenate([[True], path[1:] != path[:-1]])[: len(path)]
        tokens = [int(token) for token in path[begins] if token != BLANK_ID]
        score = float(log_probs.max(axis=1).sum(dtype=np.float64)) if len(path) else 0.0
        return Hypothesis(tokenizer.decode(tokens), tuple(tokens), score)

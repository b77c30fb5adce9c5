"""Small problems whose answers can be found by trying everything."""

import itertools
import math
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Letters:
    """A vocabulary of letters, with a space where there is a `_`."""

    letters: str = "ab"
    symbols: list[str] = field(init=False)

    def __post_init__(self) -> None:
        inner = ["<space>" if letter == "_" else letter for letter in self.letters]
        self.symbols = ["<blank>", "<unk>", *inner, "<sos/eos>"]

    def decode(self, ids: list[int]) -> str:
        return "".join(" " if self.symbols[i] == "<space>" else self.symbols[i] for i in ids)


@dataclass
class Pieces:
    """A vocabulary of pieces, of which `▁` begins a word."""

    pieces: list[str]
    symbols: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.symbols = ["<blank>", "<unk>", *self.pieces, "<sos/eos>"]

    def decode(self, ids: list[int]) -> str:
        return "".join(self.symbols[i] for i in ids).replace("▁", " ").strip()


def random_log_probs(frames: int, size: int, seed: int) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(frames, size)) * 2
    scores: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return scores


def collapse(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in itertools.groupby(path) if token != 0)


def all_sequences(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """The log probability of every token sequence, by summing over every path."""
    found: dict[tuple[int, ...], float] = {}
    frames, size = log_probs.shape
    for path in itertools.product(range(size), repeat=frames):
        mass = math.exp(sum(log_probs[frame, token] for frame, token in enumerate(path)))
        tokens = collapse(path)
        found[tokens] = found.get(tokens, 0.0) + mass
    return {tokens: math.log(mass) if mass else -math.inf for tokens, mass in found.items()}

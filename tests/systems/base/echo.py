"""A model for the infer stage's tests: tells what it was given, in whichever process it works."""

from pathlib import Path
from typing import Any

import numpy as np

from espnet3.errors import DataError


class Echo:
    """Gives each sample's text back in lower case, with a suffix; fails at the utterance that it is told to.

    What it was given stands in the file `diary`.
    """

    def __init__(self, suffix: str = "", fails_at: str = "", weights: str = "") -> None:
        self.suffix = suffix
        self.fails_at = fails_at
        self.weights = weights

    def __call__(self, samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for sample in samples:
            if sample["utt_id"] == self.fails_at:
                raise DataError("it is too loud.")
            with Path("diary").open("a", encoding="utf-8") as file:
                file.write(sample["utt_id"] + "\n")
        return [self.output(sample) for sample in samples]

    def output(self, sample: dict[str, Any]) -> dict[str, Any]:
        return {
            "hyp": sample["text"].lower() + self.suffix,
            "peak": float(np.abs(sample["audio"]).max()),
            "audio": sample["audio"],
            "lines": "one\ntwo",
        }

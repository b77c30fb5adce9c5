"""What a decoder is.

`Recogniser` hands every decoder the model and a batch of frames (`Decoder.decode_batch`). Decoders that need nothing
but the CTC output subclass `CTCDecoder` and see one utterance's log probabilities at a time, as plain arrays; they
import no torch. How hypotheses are searched is theirs.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What was recognised in an utterance."""

    text: str
    tokens: tuple[int, ...]
    """Token ids, without blanks."""
    score: float
    """Log probability, with whatever the decoder adds to it; comparable for one utterance and decoder only."""


class Vocabulary(Protocol):
    """The part of a tokenizer that decoders use."""

    @property
    def symbols(self) -> list[str]:
        """One for each id: the blank, `<unk>`, …, the start and end symbol."""

    def decode(self, ids: list[int]) -> str:
        """The text of token ids."""


class Decoder(Protocol):
    """What `decoder: {_target_: ...}` of an inference config builds."""

    def decode_batch(self, model: Any, feats: Any, lengths: Any, preprocessor: Any) -> list[Hypothesis]:
        """The best hypothesis of each utterance.

        Args:
            model: an ASR model in evaluation mode, on the device of `feats`.
            feats: (B, T, D) frames, a torch tensor.
            lengths: (B,) number of frames.
            preprocessor: the one that the model was trained with; has its `tokenizer`.
        """


class CTCDecoder(ABC):
    """A decoder of the CTC output alone."""

    @abstractmethod
    def __call__(self, log_probs: np.ndarray, tokenizer: Vocabulary) -> Hypothesis:
        """The best hypothesis of (T', V) log probabilities; T' may be 0."""

    def decode_batch(self, model: Any, feats: Any, lengths: Any, preprocessor: Any) -> list[Hypothesis]:
        """See `Decoder`."""
        log_probs = arrays(*model.ctc_log_probs(feats, lengths))
        return [self(array, preprocessor.tokenizer) for array in log_probs]


def arrays(tensor: Any, lengths: Any) -> list[np.ndarray]:
    """Each utterance's part of a (B, T, ...) tensor, of torch or numpy, without padding, as float32."""
    padded = tensor if isinstance(tensor, np.ndarray) else tensor.float().cpu().numpy()
    return [array[:length] for array, length in zip(padded, lengths.tolist(), strict=True)]

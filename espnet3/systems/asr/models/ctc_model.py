"""What the ASR models have in common: normalisation, a CTC output, its loss and its error rate.

A model subclasses `CTCModel` and says how frames become hidden frames (`encode_layers`). The training stage calls
the model with a batch; the decoders call `encode`, `ctc` and `ctc_log_probs`. The CTC loss is a mean over the tokens
of the batch, and the returned weight is their number, so that a mean over batches, devices or accumulated batches
is a mean over tokens as well. What is added to it (of attention, of auxiliary tokens) is a mean over units of its own;
of these means, too, each batch counts by its tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from espnet3.components.modeling.ctc import CTC, collapse
from espnet3.components.modeling.normalize import GlobalMVN, UtteranceMVN
from espnet3.components.training.outputs import Loss

Batch = dict[str, Any]
"""utt_ids: list of str; feats (B, T, D), feats_lengths (B,); tokens (B, L), padded with -1, tokens_lengths (B,)."""


class Layer(NamedTuple):
    """Output of one layer of an encoder."""

    hidden: Tensor
    """(B, T', H)."""
    lengths: Tensor
    """(B,) hidden frames of each utterance."""


class Sizes(NamedTuple):
    """What the data decides: the preprocessor's `model_args`."""

    input_size: int
    """Dimensions of a frame."""
    vocab_size: int
    """Tokens, with the blank."""
    auxiliary_size: int = 0
    """Auxiliary tokens (such as phones), with their blank; 0 where there are none."""


@dataclass(frozen=True)
class CTCSettings:
    """The YAML settings that every CTC model has."""

    normalize: str = "global"
    """`global` (mean and variance of the training data) or `utterance` (of each utterance)."""
    auxiliary_layer: int = 1
    """The layer, counted from 1, that is trained to tell the auxiliary tokens (Toshniwal et al., 2017)."""
    auxiliary_weight: float = 0.5
    """Of the auxiliary loss, which is a mean over the auxiliary tokens and is added."""

    def __post_init__(self) -> None:
        if self.normalize not in {"global", "utterance"}:
            raise ValueError(f"normalize must be global or utterance, but is {self.normalize!r}.")


class CTCModel(nn.Module):
    """Base of every model with a CTC output, and of its auxiliary one where the preprocessor offers auxiliary tokens.

    Args:
        sizes: what the data decides.
        hidden_size: dimensions of a hidden frame, in every layer.
        settings: normalisation, auxiliary loss.
    """

    def __init__(self, sizes: Sizes, hidden_size: int, settings: CTCSettings) -> None:
        super().__init__()
        self.normalize = GlobalMVN(sizes.input_size) if settings.normalize == "global" else UtteranceMVN()
        self.ctc = CTC(hidden_size, sizes.vocab_size)
        self.auxiliary = CTC(hidden_size, sizes.auxiliary_size) if sizes.auxiliary_size else None
        self.auxiliary_layer = settings.auxiliary_layer
        self.auxiliary_weight = settings.auxiliary_weight

    def encode_layers(self, feats: Tensor, lengths: Tensor) -> list[Layer]:
        """(B, T, D) frames of (B,) lengths to hidden frames after each layer; the last is the encoder's output."""
        raise NotImplementedError

    def encode(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) frames of (B,) lengths to (B, T', H) hidden frames and their lengths."""
        return self.encode_layers(feats, lengths)[-1]

    def ctc_log_probs(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D) frames of (B,) lengths to (B, T', V) log probabilities and their lengths."""
        hidden, lengths = self.encode(feats, lengths)
        return self.ctc(hidden), lengths

    def ctc_and_auxiliary_log_probs(self, feats: Tensor, lengths: Tensor) -> tuple[Layer, Layer]:
        """Log probabilities of the tokens (B, T', V) and of the auxiliary tokens (B, T'', A), with lengths."""
        assert self.auxiliary is not None, "this model was trained without auxiliary tokens"
        layers = self.encode_layers(feats, lengths)
        upper, lower = layers[-1], layers[self.auxiliary_layer - 1]
        return Layer(self.ctc(upper.hidden), upper.lengths), Layer(self.auxiliary(lower.hidden), lower.lengths)

    def forward(self, batch: Batch) -> Loss:
        """The loss of a batch."""
        layers = self.encode_layers(batch["feats"], batch["feats_lengths"])
        loss = self.loss(layers, batch)
        return loss if self.auxiliary is None else self.with_auxiliary(loss, layers[self.auxiliary_layer - 1], batch)

    def loss(self, layers: list[Layer], batch: Batch) -> Loss:
        """The loss of a batch from its hidden frames, but for the auxiliary one."""
        return self.ctc_loss(layers, batch)

    def ctc_loss(self, layers: list[Layer], batch: Batch) -> Loss:
        """The CTC loss, with the percentage of utterances that have too few frames (`too_short`).

        While not in training also the token error rate of the best path (`ter`, percent).
        """
        weight = batch["tokens_lengths"].sum().clamp(min=1)
        hidden, lengths = layers[-1]
        log_probs = self.ctc(hidden)
        summed, too_short = self.ctc.loss(log_probs, lengths, batch["tokens"], batch["tokens_lengths"])
        loss = summed / weight
        stats = {"loss": loss.detach(), "too_short": 100.0 * too_short / len(lengths)}
        if not self.training:
            stats["ter"] = 100.0 * token_errors(log_probs, lengths, batch) / weight
        return Loss(loss, stats, weight)

    def with_auxiliary(self, loss: Loss, layer: Layer, batch: Batch) -> Loss:
        """Add the auxiliary CTC loss of a layer."""
        assert self.auxiliary is not None
        tokens, counts = batch["auxiliary_tokens"], batch["auxiliary_tokens_lengths"]
        summed, _ = self.auxiliary.loss(self.auxiliary(layer.hidden), layer.lengths, tokens, counts)
        auxiliary = summed / counts.sum().clamp(min=1)
        stats = {**loss.stats, "loss_auxiliary": auxiliary.detach()}
        return Loss(loss.loss + self.auxiliary_weight * auxiliary, stats, loss.weight)


def token_errors(log_probs: Tensor, lengths: Tensor, batch: Batch) -> Tensor:
    """Substitutions, deletions and insertions of the best paths of a batch, summed."""
    paths = log_probs.argmax(dim=-1).cpu()
    errors = 0
    for path, length, tokens, count in zip(paths, lengths, batch["tokens"], batch["tokens_lengths"], strict=True):
        errors += edit_distance(collapse(path, int(length)), tokens[:count].tolist())
    return torch.tensor(float(errors), device=log_probs.device)


def edit_distance(hypothesis: Sequence[int], reference: Sequence[int]) -> int:
    """Levenshtein distance of two token sequences, a row of the table at a time."""
    symbols = np.asarray(reference, dtype=np.int64)
    steps = np.arange(len(symbols) + 1)
    row = steps
    for count, symbol in enumerate(hypothesis, start=1):
        through = np.concatenate(([count], np.minimum(row[1:] + 1, row[:-1] + (symbols != symbol))))
        row = np.minimum.accumulate(through - steps) + steps
    return int(row[-1])

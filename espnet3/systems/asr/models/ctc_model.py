"""What the ASR models have in common: normalisation, a CTC output, its loss and its error rate.

A model subclasses `CTCModel` and says how frames become hidden frames (`encode_layers`). The training stage calls
the model with a batch; the decoders call `encode`, `ctc` and `ctc_log_probs`. The CTC loss is a mean over the tokens
of the batch, and the returned weight is their number, so that a mean over batches, devices or accumulated batches
is a mean over tokens as well. What is added to it (of attention, of auxiliary tokens) is a mean over units of its own;
of these means, too, each batch counts by its tokens. An utterance whose tokens need more frames than the encoder leaves
of it has no path: it adds nothing to any of these sums, and its tokens are not counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from espnet3.components.modeling.ctc import CTC, collapse, frames_needed
from espnet3.components.modeling.normalize import GlobalMVN, UtteranceMVN
from espnet3.components.training.outputs import Loss, Mean

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

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """How many hidden frames (B,) the encoder leaves of (B,) frames, for what is to be known before it runs.

        A model that does not say so leaves it to its batches to find out which transcripts are too long.
        """
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
        if self.auxiliary is None:
            return loss
        return self.with_auxiliary(loss, layers[self.auxiliary_layer - 1], batch, fitting(layers[-1].lengths, batch))

    def loss(self, layers: list[Layer], batch: Batch) -> Loss:
        """The loss of a batch from its hidden frames, but for the auxiliary one."""
        return self.ctc_loss(layers, batch)

    def ctc_loss(self, layers: list[Layer], batch: Batch) -> Loss:
        """The CTC loss, with the percentage of utterances that have too few frames (`too_short`).

        While not in training also the token error rate of the best path (`ter`, percent).
        """
        hidden, lengths = layers[-1]
        log_probs = self.ctc(hidden)
        losses, fits = self.ctc.loss(log_probs, lengths, batch["tokens"], batch["tokens_lengths"])
        weight = units(batch["tokens_lengths"], fits)
        loss = losses.sum() / weight.clamp(min=1)
        too_short = Mean(100.0 * (~fits).sum() / len(fits), torch.full_like(weight, len(fits)))
        stats: dict[str, Tensor | Mean] = {"loss": loss.detach(), "too_short": too_short}
        if not self.training:
            stats["ter"] = 100.0 * token_errors(log_probs, lengths, batch, fits) / weight.clamp(min=1)
        return Loss(loss, stats, weight)

    def with_auxiliary(self, loss: Loss, layer: Layer, batch: Batch, counted: Tensor) -> Loss:
        """Add the auxiliary CTC loss of a layer, of the `counted` (B,) utterances."""
        assert self.auxiliary is not None
        tokens, counts = batch["auxiliary_tokens"], batch["auxiliary_tokens_lengths"]
        losses, fits = self.auxiliary.loss(self.auxiliary(layer.hidden), layer.lengths, tokens, counts)
        auxiliary = losses.where(counted, 0).sum() / units(counts, fits & counted).clamp(min=1)
        stats = {**loss.stats, "loss_auxiliary": auxiliary.detach()}
        return loss._replace(loss=loss.loss + self.auxiliary_weight * auxiliary, stats=stats)


def fitting(lengths: Tensor, batch: Batch) -> Tensor:
    """Which utterances of a batch have tokens that fit into (B,) hidden frames: booleans (B,)."""
    return lengths >= frames_needed(batch["tokens"], batch["tokens_lengths"])


def units(counts: Tensor, fits: Tensor) -> Tensor:
    """The (B,) tokens of the utterances that fit, summed: at least 1, unless none fits."""
    return torch.maximum(counts.where(fits, 0).sum(), fits.any().to(counts.dtype))


def token_errors(log_probs: Tensor, lengths: Tensor, batch: Batch, counted: Tensor) -> Tensor:
    """Substitutions, deletions and insertions of the best paths of the `counted` (B,) utterances, summed."""
    paths = log_probs.argmax(dim=-1).cpu()
    errors = 0
    rows = zip(paths, lengths, batch["tokens"], batch["tokens_lengths"], counted.tolist(), strict=True)
    for path, length, tokens, count, counts in rows:
        if counts:
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

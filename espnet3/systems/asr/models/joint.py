"""Conformer with joint CTC and attention (Kim et al., 2017; Watanabe et al., 2017)."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from espnet3.components.modeling.transformer_decoder import DecoderSize, TransformerDecoder
from espnet3.components.training.outputs import Loss
from espnet3.systems.asr.models.conformer_ctc import CTC_SETTINGS, ConformerCTC
from espnet3.systems.asr.models.ctc_model import Batch, Layer, fitting

IGNORED = -1


@dataclass(frozen=True)
class JointSettings:
    """The YAML settings of `ConformerJoint` beside those of `ConformerCTC`."""

    ctc_weight: float = 0.3
    """Share of the CTC loss."""
    label_smoothing: float = 0.1
    decoder_layers: int = 2
    decoder_heads: int = 4
    decoder_feedforward: int = 576
    decoder_dropout: float = 0.1


class ConformerJoint(ConformerCTC):
    """A Conformer that a CTC output and an attention decoder share.

    The last token of the vocabulary is the start and end symbol.

    Args:
        input_size: dimensions of a frame.
        vocab_size: tokens, with the blank and the start and end symbol.
        auxiliary_size: auxiliary tokens, with their blank; 0 for no auxiliary loss.
        settings: fields of `JointSettings` and of `ConformerCTCSettings`.
    """

    def __init__(self, input_size: int, vocab_size: int, auxiliary_size: int = 0, **settings: Any) -> None:
        encoder = {name: value for name, value in settings.items() if name in CTC_SETTINGS}
        joint = JointSettings(**{name: value for name, value in settings.items() if name not in CTC_SETTINGS})
        super().__init__(input_size, vocab_size, auxiliary_size, **encoder)
        self.sos = vocab_size - 1
        self.ctc_weight = joint.ctc_weight
        self.label_smoothing = joint.label_smoothing
        size = DecoderSize(joint.decoder_layers, joint.decoder_heads, joint.decoder_feedforward, joint.decoder_dropout)
        self.decoder = TransformerDecoder(vocab_size, self.ctc.linear.in_features, size)

    def loss(self, layers: list[Layer], batch: Batch) -> Loss:
        """CTC and attention losses, mixed by `ctc_weight`; `acc` is the percentage of next tokens that are right."""
        of_ctc = self.ctc_loss(layers, batch)
        ctc, weight = of_ctc.loss, of_ctc.weight
        fits = fitting(layers[-1].lengths, batch)
        given, wanted = self.teacher_forcing(batch["tokens"], batch["tokens_lengths"])
        wanted = wanted.masked_fill(~fits[:, None], IGNORED)
        log_probs = self.decoder(given, *layers[-1])
        attention = F.cross_entropy(
            log_probs.transpose(1, 2),
            wanted,
            ignore_index=IGNORED,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        ) / (weight + fits.sum()).clamp(min=1)
        loss = self.ctc_weight * ctc + (1 - self.ctc_weight) * attention
        counted = wanted != IGNORED
        right = (log_probs.argmax(dim=-1) == wanted) & counted
        more = {
            "loss": loss,
            "loss_ctc": ctc,
            "loss_attention": attention,
            "acc": 100.0 * right.sum() / counted.sum().clamp(min=1),
        }
        stats = {**of_ctc.stats, **{name: value.detach() for name, value in more.items()}}
        return of_ctc._replace(loss=loss, stats=stats)

    def teacher_forcing(self, tokens: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (B, L) to the decoder's input (start, tokens) and target (tokens, end), both (B, L + 1)."""
        edge = torch.full_like(tokens[:, :1], self.sos)
        given = torch.cat([edge, tokens.clamp(min=0)], dim=1)
        wanted = torch.cat([tokens, torch.full_like(edge, IGNORED)], dim=1)
        return given, wanted.scatter(1, lengths[:, None], self.sos)

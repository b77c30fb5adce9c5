"""Conformer with CTC (Gulati et al., 2020), optionally with intermediate CTC losses (Lee & Watanabe, 2021)."""

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from espnet3.components.modeling.conformer import Conformer, ConformerSize
from espnet3.components.modeling.subsampling import ConvSubsampling2d, ConvSubsampling2dSize
from espnet3.components.training.outputs import Loss
from espnet3.systems.asr.models.ctc_model import Batch, CTCModel, CTCSettings, Layer, Sizes


@dataclass(frozen=True)
class ConformerCTCSettings(ConformerSize, CTCSettings):
    """The YAML settings of `ConformerCTC`, with those of `ConformerSize`."""

    channels: tuple[int, ...] = (32, 32, 64)
    """Of the convolutions in front."""
    subsampling: int = 4
    """Frames of 10 ms in a hidden frame: 2, 4 or 8."""
    intermediate_layers: tuple[int, ...] = ()
    """Blocks (from 1) whose output is trained with the CTC loss as well, through the same output layer."""
    intermediate_weight: float = 0.3
    """Share of the intermediate losses in the CTC loss."""

    def __post_init__(self) -> None:
        super().__post_init__()
        CTCSettings.__post_init__(self)
        if any(not 0 < layer < self.num_layers for layer in self.intermediate_layers):
            raise ValueError(
                f"intermediate_layers must be between 1 and num_layers - 1 ({self.num_layers - 1}), "
                f"but are {list(self.intermediate_layers)}."
            )


class ConformerCTC(CTCModel):
    """Convolutions, Conformer blocks, CTC.

    Args:
        input_size: dimensions of a frame.
        vocab_size: tokens, with the blank.
        auxiliary_size: auxiliary tokens, with their blank; 0 for no auxiliary loss.
        settings: fields of `ConformerCTCSettings`.
    """

    def __init__(self, input_size: int, vocab_size: int, auxiliary_size: int = 0, **settings: Any) -> None:
        chosen = ConformerCTCSettings(**settings)
        super().__init__(Sizes(input_size, vocab_size, auxiliary_size), chosen.size, chosen)
        self.intermediate_layers = tuple(chosen.intermediate_layers)
        self.intermediate_weight = chosen.intermediate_weight
        front = ConvSubsampling2dSize(chosen.size, chosen.subsampling, tuple(chosen.channels))
        self.subsampling = ConvSubsampling2d(input_size, front)
        self.encoder = Conformer(chosen)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """How many hidden frames (B,) are left of (B,) frames."""
        return self.subsampling.output_lengths(lengths)

    def encode_layers(self, feats: Tensor, lengths: Tensor) -> list[Layer]:
        """(B, T, D) frames of (B,) lengths to hidden frames (B, T', size) after each block."""
        hidden, lengths = self.subsampling(self.normalize(feats, lengths), lengths)
        return [Layer(output, lengths) for output in self.encoder.all_layers(hidden, lengths)]

    def ctc_loss(self, layers: list[Layer], batch: Batch) -> Loss:
        """The CTC loss of the last block, mixed with the mean of those of `intermediate_layers`."""
        last = super().ctc_loss(layers, batch)
        if not self.intermediate_layers:
            return last
        between = [self._sum_loss(layers[number - 1], batch) for number in self.intermediate_layers]
        intermediate = torch.stack(between).mean() / last.weight.clamp(min=1)
        mixed = (1 - self.intermediate_weight) * last.loss + self.intermediate_weight * intermediate
        stats = {**last.stats, "loss": mixed.detach(), "loss_intermediate": intermediate.detach()}
        return last._replace(loss=mixed, stats=stats)

    def _sum_loss(self, layer: Layer, batch: Batch) -> Tensor:
        log_probs = self.ctc(layer.hidden)
        return self.ctc.loss(log_probs, layer.lengths, batch["tokens"], batch["tokens_lengths"]).losses.sum()


CTC_SETTINGS = frozenset(field.name for field in fields(ConformerCTCSettings))
"""Names of the settings that `ConformerCTC` takes."""

"""BiLSTM with CTC: small, quick to train on a CPU, the model of choice for an hour of speech."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from espnet3.components.modeling.masking import mask_frames
from espnet3.components.modeling.recurrent import BiLSTMLayer, stack_frames, stacked_lengths
from espnet3.components.modeling.subsampling import ConvSubsampling2d, ConvSubsampling2dSize
from espnet3.systems.asr.models.ctc_model import CTCModel, CTCSettings, Layer, Sizes


@dataclass(frozen=True)
class BiLSTMSettings(CTCSettings):
    """The YAML settings of `BiLSTMCTC`."""

    hidden_size: int = 256
    """Of each direction."""
    num_layers: int = 2
    projection_size: int = 256
    """Dimensions between the convolutions and the first LSTM."""
    channels: tuple[int, ...] = (32, 32, 64)
    """Of the convolutions."""
    subsampling: int = 4
    """Frames of 10 ms in a frame of the first LSTM: 2, 4 or 8. At 8, characters are too short; take word pieces."""
    stack_after: int = 0
    """Stack two frames to one after this layer, counted from 1, and so halve the frame rate; 0 for no layer."""
    dropout: float = 0.3
    channel_dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.stack_after < self.num_layers:
            raise ValueError(f"stack_after must be between 0 and num_layers - 1, but is {self.stack_after}.")


class BiLSTMCTC(CTCModel):
    """Three convolutions, bidirectional LSTMs with layer norm, CTC.

    Args:
        input_size: dimensions of a frame.
        vocab_size: tokens, with the blank.
        auxiliary_size: auxiliary tokens, with their blank; 0 for no auxiliary loss.
        settings: fields of `BiLSTMSettings`.
    """

    def __init__(self, input_size: int, vocab_size: int, auxiliary_size: int = 0, **settings: Any) -> None:
        chosen = BiLSTMSettings(**settings)
        width = 2 * chosen.hidden_size
        super().__init__(Sizes(input_size, vocab_size, auxiliary_size), width, chosen)
        front = ConvSubsampling2dSize(
            chosen.projection_size, chosen.subsampling, tuple(chosen.channels), chosen.channel_dropout
        )
        self.subsampling = ConvSubsampling2d(input_size, front)
        self.dropout = nn.Dropout(chosen.dropout)
        self.stack_after = chosen.stack_after
        inputs = [chosen.projection_size] + [width] * (chosen.num_layers - 1)
        if self.stack_after:
            inputs[self.stack_after] *= 2
        self.layers = nn.ModuleList(BiLSTMLayer(size, chosen.hidden_size, chosen.dropout) for size in inputs)

    def output_lengths(self, lengths: Tensor) -> Tensor:
        """How many hidden frames (B,) are left of (B,) frames."""
        lengths = self.subsampling.output_lengths(lengths)
        return stacked_lengths(lengths) if self.stack_after else lengths

    def encode_layers(self, feats: Tensor, lengths: Tensor) -> list[Layer]:
        """(B, T, D) frames of (B,) lengths to hidden frames (B, T', 2 * hidden_size) after each layer."""
        hidden, lengths = self.subsampling(self.normalize(feats, lengths), lengths)
        hidden = self.dropout(hidden)
        outputs = []
        for number, layer in enumerate(self.layers):
            if number and number == self.stack_after:
                hidden, lengths = stack_frames(mask_frames(hidden, lengths), lengths)
            hidden = layer(hidden, lengths)
            outputs.append(Layer(hidden, lengths))
        return outputs

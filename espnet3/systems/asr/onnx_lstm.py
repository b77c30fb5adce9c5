"""Bidirectional LSTM layers as ONNX has them: one operator that reads both ways and knows the lengths itself.

`onnx_export` calls it before a model is traced. Traced as it is, a layer becomes some 50 operators that turn utterances
around, which on short ones take longer than the recurrence.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from espnet3.components.modeling.recurrent import BiLSTMLayer
from espnet3.systems.asr.models.ctc_model import CTCModel

INT32 = 6
"""What ONNX calls it (TensorProto.DataType)."""


def with_onnx_lstms(model: CTCModel) -> CTCModel:
    """A copy of a model for tracing alone: each of its bidirectional LSTM layers is an `OnnxLSTM`."""
    copy = deepcopy(model)
    for parent in [*copy.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, BiLSTMLayer):
                setattr(parent, name, OnnxLSTM(child))
    return copy


class OnnxLSTM(nn.Module):
    """A `BiLSTMLayer` in evaluation mode, to be traced: (B, T, input_size) to (B, T, 2 * hidden_size).

    The padding after an utterance's last frame is zero before the norm, where `BiLSTMLayer` leaves anything.
    """

    weights: Tensor
    recurrent_weights: Tensor
    biases: Tensor

    def __init__(self, layer: BiLSTMLayer) -> None:
        super().__init__()
        directions = [dict(lstm.named_parameters()) for lstm in (layer.forwards, layer.backwards)]
        self.register_buffer("weights", _stacked(directions, ["weight_ih_l0"]))
        self.register_buffer("recurrent_weights", _stacked(directions, ["weight_hh_l0"]))
        self.register_buffer("biases", _stacked(directions, ["bias_ih_l0", "bias_hh_l0"]))
        self.norm = layer.norm

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Read (B, T, input_size) frames of (B,) lengths in both directions."""
        read: Tensor = _Recurrence.apply(hidden, lengths, self.weights, self.recurrent_weights, self.biases)
        normed: Tensor = self.norm(read)
        return normed


class _Recurrence(torch.autograd.Function):
    """The operator LSTM (ONNX, operator set 14), time first; its parameters are an `OnnxLSTM`'s buffers."""

    @staticmethod
    def forward(_: Any, frames: Tensor, __: Tensor, *parameters: Tensor) -> Tensor:
        """Tracing asks for the shape; the exported model is compared with the original, which has the numbers."""
        return frames.new_zeros(*frames.shape[:2], 2 * parameters[1].shape[-1])

    @staticmethod
    def symbolic(graph: Any, frames: Any, lengths: Any, *parameters: Any) -> Any:
        """(B, T, input_size) frames of (B,) lengths to (B, T, 2 * hidden_size)."""
        settings = {"hidden_size_i": parameters[1].type().sizes()[-1], "direction_s": "bidirectional"}
        steps = graph.op("Transpose", frames, perm_i=[1, 0, 2])
        sizes = graph.op("Cast", lengths, to_i=INT32)
        by_direction = graph.op("LSTM", steps, *parameters, sizes, **settings)  # (T, 2, B, hidden_size)
        by_utterance = graph.op("Transpose", by_direction, perm_i=[2, 0, 1, 3])
        return graph.op("Reshape", by_utterance, graph.op("Constant", value_t=torch.tensor([0, 0, -1])))


def _stacked(directions: Sequence[Mapping[str, Tensor]], names: Sequence[str]) -> Tensor:
    """The parameters of each direction one behind the other, (2, n, ...), their gates in ONNX's order."""
    return torch.stack([torch.cat([_gates(found[name].detach()) for name in names]) for found in directions])


def _gates(parameter: Tensor) -> Tensor:
    """torch has input, forget, cell, output (4 * hidden_size, ...); ONNX has input, output, forget, cell."""
    entry, forget, cell, output = parameter.chunk(4)
    return torch.cat([entry, output, forget, cell])

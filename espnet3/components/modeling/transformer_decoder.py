"""Transformer decoder (Vaswani et al., 2017), pre-norm: the attention branch of the joint model.

Called in training with whole transcripts (teacher forcing). Joint decoding asks for one token more at a time (`start`,
`step`): what attention needs of the tokens before, and of the hidden frames, is kept in a `DecoderState`, and no token
is worked on twice.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espnet3.components.modeling.masking import length_mask


@dataclass(frozen=True)
class DecoderSize:
    """The numbers that make a decoder small or large."""

    num_layers: int = 2
    num_heads: int = 4
    feedforward_size: int = 576
    dropout: float = 0.1


KeysValues = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class DecoderState:
    """What is known of the hypotheses of some utterances, which all have equally many tokens: K of each of B."""

    frames: tuple[KeysValues, ...]
    """Of each layer, those of the hidden frames, each (B, heads, T, head size)."""
    mask: Tensor
    """(B, 1, 1, T) True for the real frames."""
    past: tuple[Tensor, ...] = ()
    """Of each layer, keys and values of the tokens of N hypotheses (tokens, N, 2 * size); nothing before the first."""
    places: Tensor | None = None
    """(B, K) which of the N these hypotheses are; not copied before the next step, which copies once."""

    @property
    def count(self) -> int:
        """Tokens so far."""
        return len(self.past[0]) if self.past else 0

    def select(self, utterances: Tensor, hypotheses: Tensor) -> "DecoderState":
        """The state of some (B',) of the utterances, with the hypotheses (B', K') of each; any of them twice."""
        places = None if self.places is None else self.places[utterances[:, None], hypotheses]
        if len(utterances) == len(self.mask):  # all of them, in their order
            return replace(self, places=places)
        frames = tuple((keys[utterances], values[utterances]) for keys, values in self.frames)
        return DecoderState(frames, self.mask[utterances], self.past, places)


class TransformerDecoder(nn.Module):
    """Tokens so far and an utterance's hidden frames to the log probabilities of each next token.

    Args:
        vocab_size: tokens, with the start symbol.
        size: dimensions of a hidden frame, and of the decoder.
        settings: layers, heads, widths.
    """

    def __init__(self, vocab_size: int, size: int, settings: DecoderSize) -> None:
        super().__init__()
        self.size = size
        self.embedding = nn.Embedding(vocab_size, size)
        self.dropout = nn.Dropout(settings.dropout)
        nn.init.normal_(self.embedding.weight, std=size**-0.5)
        layer = nn.TransformerDecoderLayer(
            size, settings.num_heads, settings.feedforward_size, settings.dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, settings.num_layers, norm=nn.LayerNorm(size))
        for parameter in self.layers.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.output = nn.Linear(size, vocab_size)

    def forward(self, tokens: Tensor, hidden: Tensor, lengths: Tensor) -> Tensor:
        """Log probabilities (N, L, V) after each of the tokens (N, L), which begin with the start symbol.

        Hidden frames are (N, T, size) of (N,) lengths. A token sees itself, those before it and every real frame.
        """
        count = tokens.shape[1]
        future = torch.ones(count, count, dtype=torch.bool, device=tokens.device).triu(1)
        positions = torch.arange(count, device=tokens.device)
        embedded = self.embedding(tokens) * math.sqrt(self.size) + sinusoids(positions, self.size)
        decoded = self.layers(
            self.dropout(embedded),
            hidden,
            tgt_mask=future,
            memory_key_padding_mask=~length_mask(lengths, hidden.shape[1]),
        )
        return F.log_softmax(self.output(decoded).float(), dim=-1)

    def start(self, hidden: Tensor, lengths: Tensor) -> DecoderState:
        """The state before the first token, of hidden frames (B, T, size) of (B,) lengths."""
        mask = length_mask(lengths, hidden.shape[1])[:, None, None, :]
        attentions = [layer.multihead_attn for layer in self._layers()]
        frames = tuple(_keys_values(each, _project_keys_values(each, hidden)) for each in attentions)
        return DecoderState(frames, mask)

    @torch.no_grad()
    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Log probabilities (B, K, V) after one more token of each hypothesis (B, K), in evaluation; the new state.

        They are those that `forward` gives after the same tokens, up to rounding.
        """
        position = torch.tensor([state.count], device=tokens.device)
        hidden = self.embedding(tokens) * math.sqrt(self.size) + sinusoids(position, self.size)
        past = []
        for number, layer in enumerate(self._layers()):
            normed = layer.norm1(hidden)
            past.append(_extended(layer.self_attn, normed, state, number))
            hidden = hidden + _attend_to_past(layer.self_attn, normed, past[-1])
            attended = _attend_to_frames(layer.multihead_attn, layer.norm2(hidden), state.frames[number], state.mask)
            hidden = hidden + attended
            hidden = hidden + layer.linear2(F.relu(layer.linear1(layer.norm3(hidden))))
        norm = self.layers.norm
        assert norm is not None
        log_probs = F.log_softmax(self.output(norm(hidden)).float(), dim=-1)
        places = torch.arange(tokens.numel(), device=tokens.device).view_as(tokens)
        return log_probs, replace(state, past=tuple(past), places=places)

    def _layers(self) -> list[nn.TransformerDecoderLayer]:
        return [layer for layer in self.layers.layers if isinstance(layer, nn.TransformerDecoderLayer)]


def _project_keys_values(attention: nn.MultiheadAttention, hidden: Tensor) -> Tensor:
    """Keys and values, side by side, of vectors (..., size): (..., 2 * size)."""
    size = attention.embed_dim
    return F.linear(hidden, attention.in_proj_weight[size:], attention.in_proj_bias[size:])


def _heads(attention: nn.MultiheadAttention, vectors: Tensor) -> Tensor:
    """(B, T, size) as (B, heads, T, head size)."""
    return vectors.view(*vectors.shape[:-1], attention.num_heads, -1).transpose(1, 2)


def _keys_values(attention: nn.MultiheadAttention, projected: Tensor) -> KeysValues:
    """Projected vectors (B, T, 2 * size) as keys and values, each (B, heads, T, head size)."""
    keys, values = projected.chunk(2, dim=-1)
    return _heads(attention, keys), _heads(attention, values)


def _queries(attention: nn.MultiheadAttention, hidden: Tensor) -> Tensor:
    size = attention.embed_dim
    return _heads(attention, F.linear(hidden, attention.in_proj_weight[:size], attention.in_proj_bias[:size]))


def _extended(attention: nn.MultiheadAttention, hidden: Tensor, state: DecoderState, layer: int) -> Tensor:
    """The past (tokens, N, 2 * size) of a layer with the new tokens' vectors (B, K, size), where N is now B * K."""
    new = _project_keys_values(attention, hidden).flatten(0, 1)
    if state.places is None:
        return new.unsqueeze(0)
    before = state.past[layer]
    past = new.new_empty(len(before) + 1, *new.shape)
    torch.index_select(before, 1, state.places.flatten(), out=past[:-1])
    past[-1] = new
    return past


def _attend_to_past(attention: nn.MultiheadAttention, hidden: Tensor, past: Tensor) -> Tensor:
    """Each new token's vector (B, K, size) attends to the tokens of its hypothesis, itself among them."""
    queries = _queries(attention, hidden.view(-1, 1, hidden.shape[-1]))
    mixed = F.scaled_dot_product_attention(queries, *_keys_values(attention, past.transpose(0, 1)))
    output: Tensor = attention.out_proj(mixed.reshape(hidden.shape))
    return output


def _attend_to_frames(attention: nn.MultiheadAttention, hidden: Tensor, frames: KeysValues, mask: Tensor) -> Tensor:
    """Vectors (B, K, size) attend to the real ones of their utterance's frames."""
    mixed = F.scaled_dot_product_attention(_queries(attention, hidden), *frames, attn_mask=mask)
    output: Tensor = attention.out_proj(mixed.transpose(1, 2).reshape(hidden.shape))
    return output


def sinusoids(positions: Tensor, size: int) -> Tensor:
    """Sine and cosine codes (n, size) of (n,) positions."""
    frequencies = 10000.0 ** (-torch.arange(0, size, 2, device=positions.device) / size)
    angles = positions[:, None] * frequencies[None, :]
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)

"""The attention decoder a token at a time, whatever becomes of the hypotheses, against all tokens at once."""

import pytest
import torch

from espnet3.components.modeling.transformer_decoder import DecoderSize, TransformerDecoder

VOCABULARY, SIZE = 11, 16


def make_decoder(seed: int, layers: int) -> TransformerDecoder:
    torch.manual_seed(seed)
    decoder = TransformerDecoder(VOCABULARY, SIZE, DecoderSize(layers, 4, 24, dropout=0.5)).eval()
    for parameter in decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.4)  # biases, too
    return decoder


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("utterances", [1, 3])
@pytest.mark.parametrize("seed", range(5))
def test_steps_give_what_all_tokens_at_once_give(seed: int, utterances: int, layers: int) -> None:
    """Hypotheses are dropped, doubled and put in another order, and utterances leave."""
    decoder, generator = make_decoder(seed, layers), torch.Generator().manual_seed(seed)
    lengths = torch.tensor([7, 12, 1][:utterances])
    hidden = torch.randn(utterances, 12, SIZE, generator=generator)
    for row, length in enumerate(lengths):
        hidden[row, length:] = 1e3
    state, tokens = decoder.start(hidden, lengths), torch.zeros(utterances, 1, 0, dtype=torch.long)
    for _ in range(9):
        new = torch.randint(0, VOCABULARY, tokens.shape[:2], generator=generator)
        tokens = torch.cat([tokens, new[..., None]], dim=-1)
        log_probs, state = decoder.step(new, state)
        for row, hypotheses in enumerate(tokens):
            expected = decoder(
                hypotheses, hidden[row].expand(len(hypotheses), -1, -1), lengths[row].expand(len(hypotheses))
            )
            torch.testing.assert_close(log_probs[row], expected[:, -1], atol=1e-4, rtol=1e-4)
        kept = (
            torch.randperm(len(tokens), generator=generator)[: max(1, len(tokens) - int(new.sum()) % 2)].sort().values
        )
        chosen = torch.randint(0, tokens.shape[1], (len(kept), 1 + int(new.sum()) % 4), generator=generator)
        tokens, hidden, lengths = tokens[kept[:, None], chosen], hidden[kept], lengths[kept]
        state = state.select(kept, chosen)


def test_a_selection_of_a_selection() -> None:
    decoder = make_decoder(0, 2)
    hidden, lengths = torch.randn(2, 5, SIZE), torch.tensor([5, 3])
    _, state = decoder.step(torch.tensor([[1, 2, 3], [4, 5, 6]]), decoder.start(hidden, lengths))
    twice = state.select(torch.tensor([0, 1]), torch.tensor([[2, 1], [0, 2]])).select(
        torch.tensor([1]), torch.tensor([[1]])
    )
    found, _ = decoder.step(torch.tensor([[7]]), twice)
    torch.testing.assert_close(found[0], decoder(torch.tensor([[6, 7]]), hidden[1:], lengths[1:])[:, -1])

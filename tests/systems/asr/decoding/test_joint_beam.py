"""Joint decoding against trying everything, with a model whose attention decoder is a table."""

import itertools
import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from espnet3.components.modeling.ctc import CTC
from espnet3.components.modeling.transformer_decoder import DecoderSize, TransformerDecoder
from espnet3.errors import ConfigError
from espnet3.systems.asr.decoding.backoff import Ngram
from espnet3.systems.asr.decoding.ctc_scores import sequence_log_probs
from espnet3.systems.asr.decoding.joint_beam import JointBeamDecoder
from espnet3.systems.asr.decoding.prefix_beam import PrefixBeamDecoder
from espnet3.systems.asr.decoding.rescore import AuxiliaryRescorer
from espnet3.systems.asr.decoding.smoothing import SMOOTHINGS, estimate
from tests.systems.asr.decoding.problems import Letters, all_sequences, random_log_probs

FRAMES, SIZE = 4, 6
SOS = SIZE - 1
TOKENS = (2, 3, 4)
PREPROCESSOR = SimpleNamespace(tokenizer=Letters("ab_"))


@dataclass
class TableModel:
    """Frames are log probabilities; the attention decoder looks at the last token and the number of tokens."""

    seed: int

    def encode(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return feats, lengths

    def ctc(self, hidden: Tensor) -> Tensor:
        return hidden

    def decoder(self, tokens: Tensor, hidden: Tensor, lengths: Tensor) -> Tensor:
        table = torch.from_numpy(self.table())
        places = torch.arange(tokens.shape[1]).expand(len(tokens), -1)
        return table[places, tokens]

    def table(self) -> np.ndarray:
        return random_log_probs(20 * SIZE, SIZE, 100 + self.seed).reshape(20, SIZE, SIZE)

    def log_prob(self, tokens: tuple[int, ...]) -> float:
        table = self.table()
        steps = itertools.pairwise([SOS, *tokens, SOS])
        return float(sum(table[place, now, then] for place, (now, then) in enumerate(steps)))


def batch(*utterances: np.ndarray) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(frames) for frames in utterances])
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(frames) for frames in utterances], batch_first=True)
    return padded, lengths


def best_of_all(
    model: TableModel, log_probs: np.ndarray, share: float, lm: Ngram | None, bonus: float
) -> tuple[float, tuple[int, ...]]:
    ctc = all_sequences(log_probs)
    scores: dict[tuple[int, ...], float] = {}
    for length in range(FRAMES + 1):
        for tokens in itertools.product(TOKENS, repeat=length):
            score = (1 - share) * model.log_prob(tokens) + bonus * length
            score += share * ctc.get(tokens, -math.inf) if share else 0.0
            scores[tokens] = score + words(lm, PREPROCESSOR.tokenizer.decode(list(tokens)))
    best = max(scores, key=lambda tokens: scores[tokens])
    return scores[best], best


def words(lm: Ngram | None, text: str) -> float:
    if lm is None:
        return 0.0
    unknown = sum(-3.3 * len(word) for word in text.split() if not lm.knows(word))
    return 0.4 * (lm.sentence(text) + unknown) + 0.1 * len(text.split())


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("with_lm", [False, True], ids=["no lm", "lm"])
@pytest.mark.parametrize("bonus", [0.0, 0.2, -0.5])
@pytest.mark.parametrize("seed", range(4))
def test_an_unlimited_beam_finds_the_best_of_all(share: float, with_lm: bool, seed: int, bonus: float) -> None:
    lm = estimate([["ab", "b"], ["b"]], 2, SMOOTHINGS["witten_bell"]) if with_lm else None
    model, log_probs = TableModel(seed), random_log_probs(FRAMES, SIZE, seed)
    decoder = JointBeamDecoder(
        beam=10**5, ctc_weight=share, token_bonus=bonus, lm=lm, lm_weight=0.4, word_bonus=0.1, margin=math.inf
    )
    [found] = decoder.decode_batch(model, *batch(log_probs), PREPROCESSOR)
    score, tokens = best_of_all(model, log_probs, share, lm, bonus)
    assert found.score == pytest.approx(score, abs=1e-4)
    assert found.tokens == tokens
    assert found.text == PREPROCESSOR.tokenizer.decode(list(tokens))


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_in_a_batch_change_nothing(seed: int) -> None:
    utterances = [random_log_probs(frames, SIZE, seed + frames) for frames in (3, 6, 1)]
    decoder, model = JointBeamDecoder(beam=3), TableModel(seed)
    together = decoder.decode_batch(model, *batch(*utterances), PREPROCESSOR)
    alone = [decoder.decode_batch(model, *batch(frames), PREPROCESSOR)[0] for frames in utterances]
    assert [hypothesis.tokens for hypothesis in together] == [hypothesis.tokens for hypothesis in alone]


class Whole:
    """A decoder that is given all tokens each time."""

    def __init__(self, decoder: TransformerDecoder) -> None:
        self.decoder = decoder

    def __call__(self, *arguments: Tensor) -> Tensor:
        log_probs: Tensor = self.decoder(*arguments)
        return log_probs


class JointModel:
    """The outputs of a joint model, of frames that are hidden ones already."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.ctc = CTC(16, SIZE).eval()
        self.decoder: Any = TransformerDecoder(SIZE, 16, DecoderSize(2, 4, 24)).eval()
        with torch.no_grad():
            self.ctc.linear.weight.mul_(10)
            self.decoder.output.weight.mul_(3)
            self.decoder.output.bias[-1] -= 2

    def encode(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return feats, lengths

    def without_steps(self) -> Any:
        return SimpleNamespace(encode=self.encode, ctc=self.ctc, decoder=Whole(self.decoder))


def noise(seed: int, *frames: int) -> tuple[Tensor, Tensor]:
    return batch(*(np.random.default_rng(seed + count).normal(size=(count, 16)).astype(np.float32) for count in frames))


SETTINGS: list[dict[str, Any]] = [
    {},
    {"beam": 1},
    {"beam": 3, "ctc_weight": 0.0},
    {"beam": 4, "ctc_weight": 1.0},
    {"beam": 20, "proposals": 3, "token_bonus": 1.5},
    {"beam": 5, "token_bonus": -1.0, "margin": 3.0},
    {"beam": 6, "lm": estimate([["ab", "b"], ["b"]], 2, SMOOTHINGS["witten_bell"]), "word_bonus": 2.0},
]


@torch.inference_mode()
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: ", ".join(settings) or "as they are")
@pytest.mark.parametrize("seed", range(4))
def test_steps_and_batches_find_what_all_tokens_of_one_utterance_find(seed: int, settings: dict[str, Any]) -> None:
    joint, decoder = JointModel(seed), JointBeamDecoder(**settings)
    frames = (14, 3, 22, 8, 1)
    together = decoder.decode_batch(joint, *noise(seed, *frames), PREPROCESSOR)
    for found, count in zip(together, frames, strict=True):
        for model in (joint, joint.without_steps()):
            [alone] = decoder.decode_batch(model, *noise(seed, count), PREPROCESSOR)
            assert alone.tokens == found.tokens
            assert alone.score == pytest.approx(found.score, abs=1e-3)
    if decoder.ctc_weight:
        assert max(len(found.tokens) for found in together) > 1


def test_utterances_of_no_frame_are_nothing() -> None:
    utterances = [random_log_probs(frames, SIZE, frames) for frames in (0, 5, 0)]
    first, second, third = JointBeamDecoder().decode_batch(TableModel(0), *batch(*utterances), PREPROCESSOR)
    assert (first.tokens, first.score) == (third.tokens, third.score) == ((), 0.0)
    assert [second] == JointBeamDecoder().decode_batch(TableModel(0), *batch(utterances[1]), PREPROCESSOR)
    [alone] = JointBeamDecoder().decode_batch(TableModel(0), *batch(utterances[0]), PREPROCESSOR)
    assert alone == first


def test_a_model_without_an_attention_decoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="attention decoder, which SimpleNamespace is not"):
        JointBeamDecoder().decode_batch(SimpleNamespace(), *batch(np.zeros((1, SIZE))), PREPROCESSOR)


@pytest.mark.parametrize("settings", [{"beam": 0}, {"proposals": 0}, {"ctc_weight": 1.5}])
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        JointBeamDecoder(**settings)


class Sounds:
    """An auxiliary tokenizer: each letter is a sound."""

    def encode(self, text: str) -> list[int]:
        return ["-abc".index(letter) for letter in text if letter in "abc"]


def layered_model(main: np.ndarray, lower: np.ndarray) -> SimpleNamespace:
    outputs = batch(main), batch(lower)
    return SimpleNamespace(ctc_and_auxiliary_log_probs=lambda feats, lengths: outputs, auxiliary=True)


@pytest.mark.parametrize("weight", [0.0, 0.5, 5.0])
def test_the_auxiliary_output_has_its_say(weight: float) -> None:
    main, lower = random_log_probs(5, SIZE, 3), random_log_probs(9, 4, 4)
    preprocessor = SimpleNamespace(tokenizer=Letters("ab_"), auxiliary_tokenizer=Sounds())
    beam = PrefixBeamDecoder(beam=50)
    [found] = AuxiliaryRescorer(beam, weight).decode_batch(layered_model(main, lower), None, None, preprocessor)
    expected = {
        hypothesis.text: hypothesis.score + weight * sequence_log_probs(lower, [Sounds().encode(hypothesis.text)])[0]
        for hypothesis in beam.n_best(main.astype(np.float32), preprocessor.tokenizer)
    }
    assert found.text == max(expected, key=lambda text: expected[text])
    assert found.score == pytest.approx(max(expected.values()), abs=1e-4)


def test_a_model_without_an_auxiliary_output_is_refused() -> None:
    model = SimpleNamespace(auxiliary=None)
    with pytest.raises(ConfigError, match="auxiliary output"):
        AuxiliaryRescorer(PrefixBeamDecoder()).decode_batch(model, None, None, PREPROCESSOR)

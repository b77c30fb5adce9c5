"""Greedy and prefix beam search against trying everything."""

import math

import numpy as np
import pytest

from espnet3.errors import ConfigError
from espnet3.systems.asr.decoding.backoff import Ngram
from espnet3.systems.asr.decoding.greedy import GreedyDecoder
from espnet3.systems.asr.decoding.prefix_beam import PrefixBeamDecoder
from espnet3.systems.asr.decoding.smoothing import SMOOTHINGS, estimate
from tests.systems.asr.decoding.problems import Letters, Pieces, all_sequences, random_log_probs

EVERYTHING = 10**6
LM_TEXT = ["ab ba", "ab ab ba", "b a", "ba"]


def lm(order: int = 2) -> Ngram:
    return estimate([text.split() for text in LM_TEXT], order, SMOOTHINGS["witten_bell"])


def speakable(log_probs: np.ndarray) -> dict[tuple[int, ...], float]:
    """All sequences without `<unk>` and the start and end symbol."""
    last = log_probs.shape[1] - 1
    return {tokens: score for tokens, score in all_sequences(log_probs).items() if not {1, last} & set(tokens)}


def exhaustive(**settings: object) -> PrefixBeamDecoder:
    return PrefixBeamDecoder(beam=EVERYTHING, max_tokens=99, min_token_log_prob=-math.inf, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(8))
def test_an_unlimited_beam_finds_every_sequence_with_its_probability(seed: int) -> None:
    log_probs = random_log_probs(5, 5, seed)
    expected = speakable(log_probs)
    found = exhaustive().n_best(log_probs, Letters("ab"))
    assert {hypothesis.tokens for hypothesis in found} == set(expected)
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(expected[hypothesis.tokens], abs=1e-9)
    assert [hypothesis.score for hypothesis in found] == sorted((h.score for h in found), reverse=True)


@pytest.mark.parametrize("tokenizer", [Letters("ab_"), Pieces(["▁", "a", "▁b"])], ids=["letters", "pieces"])
@pytest.mark.parametrize("seed", range(4))
def test_with_a_language_model_the_best_is_the_best_of_all(tokenizer: Letters | Pieces, seed: int) -> None:
    log_probs = random_log_probs(5, 6, seed)
    model, weight, bonus, letter = lm(), 0.7, 0.4, -2.0
    expected = {
        tokens: score + worth(model, tokenizer.decode(list(tokens)), weight, bonus, letter)
        for tokens, score in speakable(log_probs).items()
    }
    decoder = exhaustive(lm=model, lm_weight=weight, word_bonus=bonus, unknown_letter_log_prob=letter)
    best = max(expected, key=lambda tokens: expected[tokens])
    found = decoder(log_probs, tokenizer)
    assert found.score == pytest.approx(expected[best], abs=1e-9)
    assert found.text == tokenizer.decode(list(best))


def worth(model: Ngram, text: str, weight: float, bonus: float, letter: float) -> float:
    words = text.split()
    unknown = sum(len(word) * letter for word in words if not model.knows(word))
    return weight * (model.sentence(text) + unknown) + bonus * len(words)


@pytest.mark.parametrize("seed", range(6))
def test_a_closed_vocabulary_allows_its_words_only(seed: int) -> None:
    log_probs = random_log_probs(6, 6, seed)
    model = lm(1)
    decoder = exhaustive(lm=model, lm_weight=0.0, word_bonus=0.0, closed=True)
    expected = {
        tokens: score
        for tokens, score in speakable(log_probs).items()
        if all(map(model.knows, Letters("ab_").decode(list(tokens)).split()))
    }
    found = decoder.n_best(log_probs, Letters("ab_"))
    assert {hypothesis.tokens for hypothesis in found} <= set(expected)
    assert found[0].score == pytest.approx(max(expected.values()), abs=1e-9)


def test_a_closed_vocabulary_that_nothing_fits_gives_what_there_is() -> None:
    log_probs = np.log(np.array([[0.001, 0.001, 0.996, 0.001, 0.001]]))
    model = estimate([["ab"]], 1, SMOOTHINGS["witten_bell"])
    found = PrefixBeamDecoder(beam=1, lm=model, lm_weight=0.0, word_bonus=0.0, closed=True)(log_probs, Letters("ab"))
    assert found.text == "a"


@pytest.mark.parametrize("seed", range(20))
def test_a_narrow_beam_is_at_least_as_good_as_the_best_path(seed: int) -> None:
    log_probs = random_log_probs(6, 5, seed)
    log_probs[:, [1, 4]] = -50.0
    expected = all_sequences(log_probs)
    greedy = GreedyDecoder()(log_probs, Letters())
    beam = PrefixBeamDecoder(beam=4)(log_probs, Letters())
    assert expected[beam.tokens] >= expected[greedy.tokens] - 1e-9


@pytest.mark.parametrize(
    ("path", "text"),
    [("aab", "ab"), ("a-ab", "aab"), ("---", ""), ("", ""), ("-a--bb-", "ab"), ("aaaa", "a")],
)
@pytest.mark.parametrize("decoder", [GreedyDecoder(), PrefixBeamDecoder(), PrefixBeamDecoder(lm=lm(), lm_weight=0.01)])
def test_a_clear_path_is_read_off(decoder: GreedyDecoder | PrefixBeamDecoder, path: str, text: str) -> None:
    log_probs = np.full((len(path), 5), -20.0, dtype=np.float32)
    for frame, symbol in enumerate(path):
        log_probs[frame, {"-": 0, "a": 2, "b": 3}[symbol]] = 0.0
    assert decoder(log_probs, Letters("ab")).text == text


def test_a_long_certain_utterance_does_not_underflow() -> None:
    log_probs = np.tile(np.log(np.array([[0.02, 0.02, 0.92, 0.02, 0.02]])), (3000, 1))
    hypothesis = PrefixBeamDecoder(beam=3)(log_probs, Letters("ab"))
    assert math.isfinite(hypothesis.score)
    assert hypothesis.text.startswith("a")


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"beam": 0}, "at least 1"), ({"max_tokens": 0}, "at least 1"), ({"closed": True}, "lm names none")],
)
def test_wrong_settings_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PrefixBeamDecoder(**settings)  # type: ignore[arg-type]

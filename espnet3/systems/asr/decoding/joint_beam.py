"""Joint CTC and attention decoding: one-pass, label-synchronous beam search.

After Watanabe et al., "Hybrid CTC/attention architecture for end-to-end speech recognition" (2017): the attention
decoder proposes tokens, and a hypothesis's score adds to its log probability that of the CTC prefix, and where there
is a word n-gram, that of its words. Named by the `decoder` of an inference config, for models with an attention
`decoder`. The search itself, in all utterances of a batch at once, is in `joint_search`.
"""

from dataclasses import dataclass
from typing import Any

from espnet3.errors import ConfigError
from espnet3.systems.asr.decoding.backoff import Ngram
from espnet3.systems.asr.decoding.decoder import Hypothesis, arrays
from espnet3.systems.asr.decoding.joint_search import Finished, Frames, JointSearch


@dataclass(frozen=True)
class JointBeamDecoder:
    """`(1 - ctc_weight) log P_attention + ctc_weight log P_ctc + token_bonus * tokens`, and the words' score.

    Raises:
        ConfigError: a setting is out of range.
    """

    beam: int = 10
    """Hypotheses kept at each length."""
    ctc_weight: float = 0.3
    token_bonus: float = 0.0
    """Added for each token."""
    lm: Ngram | None = None
    """A word n-gram, e.g. espnet3.systems.asr.decoding.ngram.WordNgram."""
    lm_weight: float = 0.3
    word_bonus: float = 0.0
    """Added for each word; counts only with `lm`."""
    proposals: int = 20
    """Tokens of the attention decoder that are tried after each hypothesis."""
    margin: float = 15.0
    """A hypothesis whose score lies so far below the best finished one is given up."""

    def __post_init__(self) -> None:
        if self.beam < 1 or self.proposals < 1 or not 0 <= self.ctc_weight <= 1:
            raise ConfigError(
                "beam and proposals are at least 1, ctc_weight is between 0 and 1; "
                f"given: {self.beam}, {self.proposals} and {self.ctc_weight}."
            )

    def decode_batch(self, model: Any, feats: Any, lengths: Any, preprocessor: Any) -> list[Hypothesis]:
        """See `espnet3.systems.asr.decoding.decoder.Decoder`.

        Raises:
            ConfigError: the model has no attention decoder.
        """
        if not hasattr(model, "decoder"):
            raise ConfigError(
                f"JointBeamDecoder needs a model with an attention decoder, which {type(model).__name__} is not. Use "
                "espnet3.systems.asr.decoding.prefix_beam.PrefixBeamDecoder."
            )
        hidden, out_lengths = model.encode(feats, lengths)
        found = [Finished((), 0.0)] * len(hidden)
        rows = [row for row, length in enumerate(out_lengths.tolist()) if length]
        if rows:
            log_probs = arrays(model.ctc(hidden), out_lengths)
            frames = Frames([log_probs[row] for row in rows], hidden[rows], out_lengths[rows])
            search = JointSearch(self, model.decoder, frames, preprocessor.tokenizer)
            for row, best in zip(rows, search.run(), strict=True):
                found[row] = best
        tokenizer = preprocessor.tokenizer
        return [Hypothesis(tokenizer.decode(list(best.tokens)), best.tokens, best.score) for best in found]

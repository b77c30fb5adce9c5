"""Rescoring with the auxiliary output: hypotheses of the beam search, judged again by what a lower layer heard.

For models that were trained to tell auxiliary tokens, such as phones, in a lower layer: their CTC probability of a
hypothesis's pronunciation is added to its score. Named by the `decoder` of an inference config, around a
`PrefixBeamDecoder`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from espnet3.errors import ConfigError
from espnet3.systems.asr.decoding.ctc_scores import sequence_log_probs
from espnet3.systems.asr.decoding.decoder import Hypothesis, arrays
from espnet3.systems.asr.decoding.prefix_beam import PrefixBeamDecoder


@dataclass(frozen=True)
class AuxiliaryRescorer:
    """The best of a beam's hypotheses by `score + weight * log P_auxiliary`."""

    decoder: PrefixBeamDecoder
    weight: float = 0.3

    def decode_batch(self, model: Any, feats: Any, lengths: Any, preprocessor: Any) -> list[Hypothesis]:
        """See `espnet3.systems.asr.decoding.decoder.Decoder`.

        Raises:
            ConfigError: the model has no auxiliary output.
        """
        if getattr(model, "auxiliary", None) is None or preprocessor.auxiliary_tokenizer is None:
            raise ConfigError(
                "AuxiliaryRescorer needs a model with an auxiliary output (training_config.auxiliary_tokenizer). Name "
                "the decoder inside it directly."
            )
        main, lower = model.ctc_and_auxiliary_log_probs(feats, lengths)
        pairs = zip(arrays(*main), arrays(*lower), strict=True)
        return [self._best(*pair, preprocessor) for pair in pairs]

    def _best(self, log_probs: np.ndarray, sounds: np.ndarray, preprocessor: Any) -> Hypothesis:
        found = self.decoder.n_best(log_probs, preprocessor.tokenizer)
        spoken = [preprocessor.auxiliary_tokenizer.encode(hypothesis.text) for hypothesis in found]
        added = self.weight * sequence_log_probs(sounds, spoken)
        scores = [hypothesis.score + extra for hypothesis, extra in zip(found, added.tolist(), strict=True)]
        best = int(np.argmax(scores))
        return Hypothesis(found[best].text, found[best].tokens, scores[best])

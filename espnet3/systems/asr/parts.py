"""What recognisers have in common, with torch and without: the preprocessor, the decoder, what they give.

`Recogniser` and `OnnxRecogniser` build themselves with it.
"""

from typing import Any

from espnet3.config.instantiate import build
from espnet3.errors import ConfigError
from espnet3.systems.asr.decoding.decoder import Hypothesis
from espnet3.systems.base.kept_files import preprocessor_parts


def build_preprocessor(config: dict[str, Any]) -> Any:
    """The preprocessor of a training config, without augmentation."""
    parts = {name: build(config[name], f"training_config.{name}") for name in preprocessor_parts(config)}
    return build(config["preprocessor"], "training_config.preprocessor", **parts)


def check_decoder(decoder: Any) -> None:
    """Make sure that `model.decoder` of an inference config is one.

    Raises:
        ConfigError: it is not.
    """
    if not hasattr(decoder, "decode_batch"):
        raise ConfigError(f"inference_config.model.decoder needs a _target_ that builds a decoder; given: {decoder}.")


def output(hypothesis: Hypothesis, symbols: list[str]) -> dict[str, Any]:
    """`hyp` (the text), `tokens` (its symbols, separated by spaces) and `score`."""
    return {
        "hyp": hypothesis.text,
        "tokens": " ".join(symbols[token] for token in hypothesis.tokens),
        "score": f"{hypothesis.score:.4f}",
    }

"""What a trained model is made of beside its weights: its config and its preprocessor, built without torch.

`Recogniser` and `OnnxRecogniser` build themselves with it, and `espnet3.publishing` finds out which parts of a training
config a pack needs.
"""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from espnet3.config.instantiate import build
from espnet3.errors import ConfigError, DataError
from espnet3.systems.asr.decoding.decoder import Hypothesis
from espnet3.systems.base.kept_files import locate_files, preprocessor_parts


def load_training_config(exp_dir: Path) -> dict[str, Any]:
    """The config that train wrote, with the files that train kept for the model.

    Raises:
        DataError: there is none: nothing was trained there; or a file that the model was trained with is gone.
    """
    path = exp_dir / "config.yaml"
    if not path.is_file():
        raise DataError(
            f"{path} does not exist: there is no trained model in {exp_dir}. Run train, or correct exp_dir."
        )
    config = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    assert isinstance(config, dict)
    return locate_files({str(key): value for key, value in config.items()}, exp_dir)


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

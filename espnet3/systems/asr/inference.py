"""Recogniser: a trained model that turns speech into text.

The `model` of an inference config, built by the infer stage in each process that decodes; the only part of inference
that needs torch. It loads what train left in `exp_dir`. How the model's output becomes text is the decoder's affair.
"""

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from espnet3.components.data.dataset import Sample
from espnet3.components.training.build import build, prepare
from espnet3.errors import ConfigError, DataError
from espnet3.systems.asr.decoding.decoder import Decoder, Hypothesis

_OF_TRAINING = ("augment", "feature_augment")


class Recogniser:
    """Speech to text.

    Args:
        exp_dir: where train wrote its config and weights.
        decoder: from the model's output to text.
        device: a torch device; `auto` is the first GPU where there is one.
        checkpoint: the weights, a safetensors file in `exp_dir`.

    Raises:
        ConfigError: no such device, or the decoder is none.
        DataError: the config or the weights are missing, damaged, or do not fit each other.
    """

    def __init__(
        self, exp_dir: str, decoder: Decoder, device: str = "auto", checkpoint: str = "averaged.safetensors"
    ) -> None:
        if not hasattr(decoder, "decode_batch"):
            raise ConfigError(
                f"inference_config.model.decoder needs a _target_ that builds a decoder; given: {decoder}."
            )
        self.decoder = decoder
        self.device = choose_device(device)
        config = load_training_config(Path(exp_dir))
        self.preprocessor = build_preprocessor(config)
        model: nn.Module = build(config["model"], "training_config.model", **self.preprocessor.model_args())
        load_weights(model, Path(exp_dir) / checkpoint)
        self.model = model.to(self.device).eval()

    @torch.inference_mode()
    def __call__(self, samples: Sequence[Sample]) -> list[dict[str, Any]]:
        """For each sample `hyp` (the text), `tokens` (its symbols, separated by spaces) and `score`."""
        feats, lengths = pad([self.preprocessor.frames(sample, None) for sample in samples])
        batch = feats.to(self.device), lengths.to(self.device)
        hypotheses = self.decoder.decode_batch(self.model, *batch, self.preprocessor)
        return [self._output(hypothesis) for hypothesis in hypotheses]

    def _output(self, hypothesis: Hypothesis) -> dict[str, Any]:
        symbols = self.preprocessor.tokenizer.symbols
        return {
            "hyp": hypothesis.text,
            "tokens": " ".join(symbols[token] for token in hypothesis.tokens),
            "score": f"{hypothesis.score:.4f}",
        }


def choose_device(device: str) -> torch.device:
    """The torch device of that name.

    Raises:
        ConfigError: there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"inference_config.model.device is {device!r}, which is not to be had here ({str(error).splitlines()[0]}). "
            "Use auto, cpu, cuda or cuda:<number>."
        ) from None


def load_training_config(exp_dir: Path) -> dict[str, Any]:
    """The config that train wrote.

    Raises:
        DataError: there is none: nothing was trained there.
    """
    path = exp_dir / "config.yaml"
    if not path.is_file():
        raise DataError(
            f"{path} does not exist: there is no trained model in {exp_dir}. Run train, or correct exp_dir."
        )
    config = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def build_preprocessor(config: dict[str, Any]) -> Any:
    """The preprocessor of a training config, without augmentation."""
    node = config["preprocessor"]
    wanted = inspect.signature(prepare(node, "training_config.preprocessor")).parameters
    names = [name for name in wanted if name not in node and name not in _OF_TRAINING and config.get(name)]
    parts = {name: build(config[name], f"training_config.{name}") for name in names}
    return build(node, "training_config.preprocessor", **parts)


def load_weights(model: nn.Module, path: Path) -> None:
    """Load a safetensors file into `model`.

    Raises:
        DataError: the file is missing or damaged, or of another model.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist: the training is not finished. Run train.")
    try:
        model.load_state_dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise DataError(
            f"{path} is damaged ({error}). Run train again: it makes the file from its checkpoints."
        ) from None
    except RuntimeError as error:
        raise DataError(
            f"{path} holds the weights of another model than config.yaml beside it names: {error}"
        ) from None


def pad(frames: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """Frames (T, D) of some utterances as (B, T, D), zeros after each, and their lengths (B,)."""
    padded = nn.utils.rnn.pad_sequence([torch.from_numpy(array) for array in frames], batch_first=True)
    return padded, torch.tensor([len(array) for array in frames])

"""Recogniser: a trained model that turns speech into text.

The `model` of an inference config, built by the infer stage in each process that decodes; the only part of inference
that needs torch. It loads what train left in `exp_dir`. How the model's output becomes text is up to the decoder.
"""

import multiprocessing
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from espnet3.components.data.dataset import Sample
from espnet3.components.data.padding import pad
from espnet3.config.instantiate import build
from espnet3.errors import ConfigError, DataError
from espnet3.systems.asr.decoding.decoder import Decoder, Hypothesis, arrays
from espnet3.systems.asr.parts import build_preprocessor, check_decoder, output
from espnet3.systems.base.kept_files import load_training_config


class Recogniser:
    """Speech to text.

    Args:
        exp_dir: where train wrote its config and weights.
        decoder: from the model's output to text.
        device: a torch device; `auto` is a GPU where there is one, and another one for each worker process where there
            are several.
        checkpoint: the weights, a safetensors file in `exp_dir`.

    Raises:
        ConfigError: no such device, or the decoder is none.
        DataError: the config or the weights are missing, damaged, or do not fit each other.
    """

    def __init__(
        self, exp_dir: str, decoder: Decoder, device: str = "auto", checkpoint: str = "averaged.safetensors"
    ) -> None:
        check_decoder(decoder)
        self.decoder = decoder
        self.device = choose_device(device)
        self._load(load_training_config(Path(exp_dir)), Path(exp_dir) / checkpoint)

    @classmethod
    def from_config(cls, config: dict[str, Any], weights: Path, decoder: Decoder, device: str = "auto") -> Self:
        """A Recogniser of a training config that is not a file, and of a safetensors file anywhere.

        Raises:
            ConfigError: no such device, or the decoder is none.
            DataError: the weights are missing, damaged, or do not fit the config.
        """
        check_decoder(decoder)
        recogniser = cls.__new__(cls)
        recogniser.decoder = decoder
        recogniser.device = choose_device(device)
        recogniser._load(config, weights)
        return recogniser

    def _load(self, config: dict[str, Any], weights: Path) -> None:
        self.preprocessor = build_preprocessor(config)
        model: nn.Module = build(config["model"], "training_config.model", **self.preprocessor.model_args())
        load_weights(model, weights)
        self.model: Any = model.to(self.device).eval()

    @property
    def backend(self) -> str:
        """What runs the model, and how exactly; goes with the scores."""
        return f"torch {str(next(self.model.parameters()).dtype).removeprefix('torch.')}"

    def __call__(self, samples: Sequence[Sample]) -> list[dict[str, Any]]:
        """For each sample `hyp` (the text), `tokens` (its symbols, separated by spaces) and `score`."""
        symbols = self.preprocessor.tokenizer.symbols
        return [output(hypothesis, symbols) for hypothesis in self.decode(samples)]

    @torch.inference_mode()
    def decode(self, samples: Sequence[Sample]) -> list[Hypothesis]:
        """The best hypothesis of each sample."""
        batch = self._batch(samples)
        return self.decoder.decode_batch(self.model, *batch, self.preprocessor)

    @torch.inference_mode()
    def log_probs(self, samples: Sequence[Sample]) -> list[np.ndarray]:
        """The CTC output of each sample, (T', V) log probabilities."""
        return arrays(*self.model.ctc_log_probs(*self._batch(samples)))

    def _batch(self, samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
        feats, lengths = pad([self.preprocessor.frames(sample, None) for sample in samples])
        return torch.from_numpy(feats).to(self.device), torch.from_numpy(lengths).to(self.device)


def choose_device(device: str) -> torch.device:
    """The torch device of that name.

    Raises:
        ConfigError: there is none.
    """
    if device == "auto":
        return torch.device(_own_gpu() if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"inference_config.model.device is {device!r}, which is not to be had here ({str(error).splitlines()[0]}). "
            "Use auto, cpu, cuda or cuda:<number>."
        ) from None


def _own_gpu() -> str:
    """The GPU of this process: worker processes, which are numbered from 1 in their names, take them in turn."""
    number = re.search(r"\d+$", multiprocessing.current_process().name)
    count = torch.cuda.device_count()
    return f"cuda:{(int(number[0]) - 1) % count}" if number and count > 1 else "cuda"


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

"""OnnxRecogniser: a packed model that turns speech into text without torch.

The `model` of an inference config, in place of `espnet3.systems.asr.inference.Recogniser`, and what `espnet3.load`
builds with `backend="onnx"`. The files are those of pack_model; decoders that need more than the CTC output need torch.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from espnet3.components.data.dataset import Sample
from espnet3.components.data.padding import pad
from espnet3.errors import ConfigError, DataError
from espnet3.packs.pack import read_pack
from espnet3.systems.asr.decoding.decoder import Decoder, Hypothesis
from espnet3.systems.asr.onnx_files import VARIANTS
from espnet3.systems.asr.parts import build_preprocessor, check_decoder, output

INPUTS = ("feats", "lengths")
OUTPUTS = ("log_probs", "steps")
AUXILIARY_OUTPUTS = ("auxiliary_log_probs", "auxiliary_steps")

BATCH = 4
"""Utterances that a float32 model decodes at once: half as fast again as one by one on a core; more are not faster."""

Output = tuple[np.ndarray, np.ndarray]
"""(B, T', V) log probabilities and (B,) lengths."""


def import_onnxruntime() -> Any:
    """The module onnxruntime, which from 1.29 on would report its use to its makers; here it does not.

    Raises:
        ConfigError: it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, when it is imported
    try:
        import onnxruntime
    except ImportError:
        raise ConfigError(
            "onnxruntime is not installed. Install the extra infer or demo, or use the backend torch."
        ) from None
    return onnxruntime


class OnnxModel:
    """An exported CTC model: frames to log probabilities, with the methods that decoders call.

    Raises:
        ConfigError: onnxruntime is not installed.
        DataError: the file is not a model of this kind.
    """

    def __init__(self, path: Path, num_threads: int = 0) -> None:
        onnxruntime = import_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            self.outputs = tuple(each.name for each in self.session.get_outputs())
        except Exception as error:  # noqa: BLE001 onnxruntime's errors share no other base
            raise DataError(f"{path} is not an ONNX model that can be run: {str(error).splitlines()[0]}") from None
        if self.outputs[:2] != OUTPUTS or tuple(each.name for each in self.session.get_inputs()) != INPUTS:
            raise DataError(
                f"{path} is another kind of model: its outputs are {', '.join(self.outputs)}. Pack it again."
            )
        self.batch_size = 1 if self.session.get_inputs()[0].shape[0] == 1 else BATCH
        self.auxiliary = True if self.outputs[2:] == AUXILIARY_OUTPUTS else None

    def ctc_log_probs(self, feats: np.ndarray, lengths: np.ndarray) -> Output:
        """(B, T, D) frames of (B,) lengths to (B, T', V) log probabilities and their lengths."""
        log_probs, steps = self.session.run(OUTPUTS, {"feats": feats, "lengths": lengths})
        return log_probs, steps

    def ctc_and_auxiliary_log_probs(self, feats: np.ndarray, lengths: np.ndarray) -> tuple[Output, Output]:
        """The same, and the auxiliary tokens' (B, T'', A)."""
        found = self.session.run((*OUTPUTS, *AUXILIARY_OUTPUTS), {"feats": feats, "lengths": lengths})
        return (found[0], found[1]), (found[2], found[3])


class OnnxRecogniser:
    """Speech to text by an ONNX model.

    Args:
        pack_dir: a folder that pack_model wrote with `onnx.export`.
        decoder: from the model's output to text; one that needs the CTC output alone.
        variant: `float32`, which recognises what torch does, or `int8`: smaller, quicker, a little less exact.
        num_threads: of each call; 0 for all processors.

    Raises:
        ConfigError: there is no such variant, onnxruntime is not installed, or the decoder is none.
        DataError: the pack is damaged or holds no such model.
    """

    device = "onnxruntime"
    backend: str
    """What runs the model, and how exactly; goes with the scores."""

    def __init__(self, pack_dir: str, decoder: Decoder, variant: str = "float32", num_threads: int = 1) -> None:
        if variant not in VARIANTS:
            raise ConfigError(f"inference_config.model.variant: {variant!r} is none of {', '.join(VARIANTS)}.")
        pack = read_pack(Path(pack_dir), builds_model=False)
        model = OnnxModel(pack.file(VARIANTS[variant]), num_threads)
        self._take(build_preprocessor(pack.config()), decoder, model, variant)

    @classmethod
    def of_parts(cls, preprocessor: Any, decoder: Decoder, path: Path, num_threads: int = 1) -> Self:
        """A recogniser of an ONNX file anywhere.

        Raises:
            ConfigError: onnxruntime is not installed, or the decoder is none.
            DataError: the file is not a model of this kind.
        """
        recogniser = cls.__new__(cls)
        variant = next((variant for variant, name in VARIANTS.items() if name == path.name), "")
        recogniser._take(preprocessor, decoder, OnnxModel(path, num_threads), variant)
        return recogniser

    def _take(self, preprocessor: Any, decoder: Decoder, model: OnnxModel, variant: str) -> None:
        check_decoder(decoder)
        self.preprocessor = preprocessor
        self.decoder = decoder
        self.model = model
        self.backend = f"onnxruntime {variant}".strip()

    def __call__(self, samples: Sequence[Sample]) -> list[dict[str, Any]]:
        """For each sample `hyp` (the text), `tokens` (its symbols, separated by spaces) and `score`."""
        symbols = self.preprocessor.tokenizer.symbols
        return [output(hypothesis, symbols) for hypothesis in self.decode(samples)]

    def decode(self, samples: Sequence[Sample]) -> list[Hypothesis]:
        """The best hypothesis of each sample; a few of like length at a time, which costs little padding."""
        frames = [self.preprocessor.frames(sample, None) for sample in samples]
        order = sorted(range(len(frames)), key=lambda index: len(frames[index]))
        found: dict[int, Hypothesis] = {}
        for first in range(0, len(order), self.model.batch_size):
            chosen = order[first : first + self.model.batch_size]
            batch = pad([frames[index] for index in chosen])
            found |= zip(chosen, self.decoder.decode_batch(self.model, *batch, self.preprocessor), strict=True)
        return [found[index] for index in range(len(samples))]

    def log_probs(self, samples: Sequence[Sample]) -> list[np.ndarray]:
        """The CTC output of each sample, (T', V) log probabilities."""
        batches = (pad([self.preprocessor.frames(sample, None)]) for sample in samples)
        return [self.model.ctc_log_probs(*batch)[0][0] for batch in batches]

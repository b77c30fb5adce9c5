"""Exporting a packed CTC model to ONNX, and holding the result to the original on the test sets.

`pack_trial` calls it where the publication config asks for an export. `OnnxRecogniser` runs the files. In the int8
model only matrix products and recurrences are in 8 bits: convolutions are slower so. It takes one utterance at a time:
the scale of 8 bits is that of the whole input, so that others in a batch would change what is heard in a recording.
"""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from espnet3.components.data.dataset import Sample
from espnet3.components.data.text import normalise
from espnet3.components.modeling.masking import without_padding
from espnet3.errors import ConfigError, DataError
from espnet3.runtime.progress import track
from espnet3.systems.asr.inference import Recogniser
from espnet3.systems.asr.models.ctc_model import CTCModel, edit_distance
from espnet3.systems.asr.onnx_files import VARIANTS
from espnet3.systems.asr.onnx_inference import (
    AUXILIARY_OUTPUTS,
    INPUTS,
    OUTPUTS,
    OnnxRecogniser,
    import_onnxruntime,
)
from espnet3.systems.asr.onnx_lstm import with_onnx_lstms
from espnet3.systems.asr.transcriber import SpeechToText

log = logging.getLogger(__name__)

OPSET = 17
IN_8_BITS = ["MatMul", "Gemm", "LSTM"]


class _Outputs(nn.Module):
    """Frames to log probabilities, and those of the auxiliary tokens where the model has them."""

    def __init__(self, model: CTCModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, feats: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """(B, T, D) frames of (B,) lengths."""
        if self.model.auxiliary is None:
            return self.model.ctc_log_probs(feats, lengths)
        main, lower = self.model.ctc_and_auxiliary_log_probs(feats, lengths)
        return (*main, *lower)


def export(model: SpeechToText, pack: Path, int8: bool, samples: Sequence[Sample]) -> dict[str, Any]:
    """Write `model.onnx` and, where asked for, `model.int8.onnx` into `pack`; what `meta.json` says of them.

    Raises:
        ConfigError: the model or its decoder is none that ONNX can run.
        DataError: the float32 model recognises something else than the original on a test set.
    """
    original = model.recogniser
    if not isinstance(original, Recogniser) or not isinstance(original.model, CTCModel):
        raise ConfigError("publication_config.pack_model.onnx: only models with a CTC output can be exported.")
    size = original.preprocessor.features.size
    write_onnx(original.model, size, pack / VARIANTS["float32"])
    if int8:
        write_int8_onnx(original.model, size, pack / VARIANTS["int8"])
    chosen = ["float32", "int8"] if int8 else ["float32"]
    return compare(original, {name: pack / VARIANTS[name] for name in chosen}, samples)


def write_onnx(model: CTCModel, input_size: int, path: Path, *, one_by_one: bool = False) -> None:
    """Write the model at `path`, for any number of frames, and of utterances unless they are to come `one_by_one`."""
    outputs = OUTPUTS if model.auxiliary is None else (*OUTPUTS, *AUXILIARY_OUTPUTS)
    utterances = {} if one_by_one else {0: "utterances"}
    axes = {name: {**utterances, 1: name} for name in (INPUTS[0], *outputs[::2])}
    axes |= dict.fromkeys((INPUTS[1], *outputs[1::2]), utterances)
    lengths = torch.tensor([150] if one_by_one else [150, 111])
    padding = without_padding() if one_by_one else nullcontext()
    with warnings.catch_warnings(), torch.inference_mode(), padding:
        warnings.simplefilter("ignore")  # of tracing, whose result is compared below
        torch.onnx.export(
            _Outputs(with_onnx_lstms(model)).eval(),
            (torch.zeros(len(lengths), 150, input_size), lengths),
            str(path),
            input_names=list(INPUTS),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # the newer exporter needs further packages
        )


def write_int8_onnx(model: CTCModel, input_size: int, path: Path) -> None:
    """Write the model with weights of 8 bits at `path`, for one utterance at a time."""
    import_onnxruntime()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        original = Path(folder) / "model.onnx"
        write_onnx(model, input_size, original, one_by_one=True)
        logging.disable(logging.WARNING)  # it advises, on the root logger
        try:
            quantize_dynamic(original, path, weight_type=QuantType.QInt8, op_types_to_quantize=IN_8_BITS)
        finally:
            logging.disable(logging.NOTSET)


def compare(original: Recogniser, paths: dict[str, Path], samples: Sequence[Sample]) -> dict[str, Any]:
    """Decode the test sets with every model, one utterance at a time.

    Returns:
        By precision: file, bytes, and, where there are test sets, how many hypotheses differ and, where these have
        words, the error rates on the texts as they are written: a metric's normaliser is up to measure.

    Raises:
        DataError: a hypothesis of the float32 model differs.
    """
    models = {name: _recogniser(original, path) for name, path in paths.items()}
    errors = dict.fromkeys(("torch", *models), 0)
    differing = dict.fromkeys(models, 0)
    words = 0
    for sample in track(samples, len(samples), "onnx"):
        reference = normalise(sample["text"]).split()
        words += len(reference)
        expected = original.decode([sample])[0].text
        errors["torch"] += _word_errors(expected, reference)
        for name, model in models.items():
            text = model.decode([sample])[0].text
            differing[name] += text != expected
            errors[name] += _word_errors(text, reference)
    if differing["float32"]:
        raise DataError(
            f"The exported model recognises {differing['float32']} of {len(samples)} test utterances otherwise than "
            "the original. Leave out publication_config.pack_model.onnx."
        )
    found: dict[str, Any] = {}
    for name, path in paths.items():
        found[name] = {"file": path.name, "bytes": path.stat().st_size}
        if samples:
            found[name] |= {"utterances": len(samples), "differing": differing[name]}
        if words:
            found[name] |= {"wer": _rate(errors[name], words), "wer_torch": _rate(errors["torch"], words)}
    log.info("ONNX: %s", found)
    return found


def _recogniser(original: Recogniser, path: Path) -> OnnxRecogniser:
    return OnnxRecogniser.of_parts(original.preprocessor, original.decoder, path)


def _word_errors(text: str, reference: list[str]) -> int:
    words = normalise(text).split()
    ids = {word: number for number, word in enumerate(sorted({*words, *reference}))}
    return edit_distance([ids[word] for word in words], [ids[word] for word in reference])


def _rate(errors: int, words: int) -> float:
    return round(100.0 * errors / words, 4)

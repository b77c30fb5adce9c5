"""Exported models give the numbers of the original, for utterances of any length, alone and in a batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from espnet3.systems.asr.models.bilstm import BiLSTMCTC
from espnet3.systems.asr.models.conformer_ctc import ConformerCTC
from espnet3.systems.asr.models.ctc_model import CTCModel
from espnet3.systems.asr.onnx_export import write_int8_onnx, write_onnx
from espnet3.systems.asr.onnx_inference import OnnxModel

BINS, TOKENS, PHONES = 20, 7, 5
SMALL: dict[str, Any] = {"hidden_size": 12, "channels": [4, 4, 6], "projection_size": 10}
LENGTHS = [1, 9, 130, 131, 77]


def random_weights(model: CTCModel) -> CTCModel:
    """All parameters, biases included, which are often zero in a new model and would hide a wrong order of gates."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def utterances() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(len(LENGTHS), max(LENGTHS), BINS), torch.tensor(LENGTHS)


MODELS: dict[str, Callable[[], CTCModel]] = {
    "one layer": lambda: BiLSTMCTC(BINS, TOKENS, num_layers=1, **SMALL),
    "three layers": lambda: BiLSTMCTC(BINS, TOKENS, num_layers=3, normalize="utterance", **SMALL),
    "stacked": lambda: BiLSTMCTC(BINS, TOKENS, PHONES, num_layers=2, stack_after=1, **SMALL),
    "conformer": lambda: ConformerCTC(BINS, TOKENS, num_layers=2),
}


def numbers(model: CTCModel, feats: Tensor, lengths: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What the original says: its log probabilities and steps, and those of the auxiliary tokens."""
    with torch.inference_mode():
        layers = model.encode_layers(feats, lengths)
        found = [(model.ctc(layers[-1].hidden), layers[-1].lengths)]
        if model.auxiliary is not None:
            found.append((model.auxiliary(layers[0].hidden), layers[0].lengths))
    return found


def exported_numbers(exported: OnnxModel, feats: Tensor, lengths: Tensor) -> list[tuple[np.ndarray, np.ndarray]]:
    outputs = (
        exported.ctc_and_auxiliary_log_probs if exported.auxiliary else lambda *batch: [exported.ctc_log_probs(*batch)]
    )
    return [*outputs(feats.numpy(), lengths.numpy())]


@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_gives_the_numbers_of_the_original(tmp_path: Path, name: str) -> None:
    model = random_weights(MODELS[name]())
    write_onnx(model, BINS, tmp_path / "model.onnx")
    exported = OnnxModel(tmp_path / "model.onnx", num_threads=1)
    assert exported.batch_size > 1
    batch = utterances()
    for (wanted, steps), (found, onnx_steps) in zip(
        numbers(model, *batch), exported_numbers(exported, *batch), strict=True
    ):
        assert onnx_steps.tolist() == steps.tolist()
        for row, count in enumerate(onnx_steps):
            np.testing.assert_allclose(
                found[row, :count], wanted[row, :count], atol=1e-4, err_msg=f"{LENGTHS[row]} frames"
            )


@pytest.mark.parametrize("name", MODELS)
def test_a_model_exported_for_single_utterances_gives_the_same_numbers(tmp_path: Path, name: str) -> None:
    model = random_weights(MODELS[name]())
    write_onnx(model, BINS, tmp_path / "model.onnx", one_by_one=True)
    exported = OnnxModel(tmp_path / "model.onnx", num_threads=1)
    assert exported.batch_size == 1
    feats, lengths = utterances()
    for row, count in enumerate(LENGTHS):
        alone = feats[row : row + 1, :count], lengths[row : row + 1]
        for wanted, found in zip(numbers(model, *alone), exported_numbers(exported, *alone), strict=True):
            assert found[1].tolist() == wanted[1].tolist()
            np.testing.assert_allclose(found[0], wanted[0], atol=1e-4, err_msg=f"{count} frames")


def test_a_model_in_8_bits_is_smaller_and_says_nearly_the_same(tmp_path: Path) -> None:
    model = random_weights(BiLSTMCTC(BINS, TOKENS, hidden_size=64, num_layers=2))
    write_onnx(model, BINS, tmp_path / "model.onnx")
    write_int8_onnx(model, BINS, tmp_path / "model.int8.onnx")
    assert (tmp_path / "model.int8.onnx").stat().st_size < 0.5 * (tmp_path / "model.onnx").stat().st_size
    exported = OnnxModel(tmp_path / "model.int8.onnx", num_threads=1)
    assert exported.batch_size == 1
    feats, lengths = utterances()
    alone = feats[2:3, :130], lengths[2:3]
    (wanted, _), (found, _) = numbers(model, *alone)[0], exported_numbers(exported, *alone)[0]
    assert (wanted.argmax(dim=-1).numpy() == found.argmax(axis=-1)).mean() > 0.9


def test_the_original_can_be_trained_on_after_its_export(tmp_path: Path) -> None:
    model = random_weights(BiLSTMCTC(BINS, TOKENS, **SMALL))
    feats, lengths = utterances()
    before = model.ctc_log_probs(feats, lengths)[0]
    write_onnx(model, BINS, tmp_path / "model.onnx")
    after = model.ctc_log_probs(feats, lengths)[0]
    assert torch.equal(after, before)
    after.sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in model.parameters())

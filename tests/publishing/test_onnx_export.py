"""Exported models give the numbers of the original, for utterances of any length, alone and in a batch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from espnet3.publishing.onnx_export import write_onnx
from espnet3.systems.asr.models.bilstm import BiLSTMCTC
from espnet3.systems.asr.models.conformer_ctc import ConformerCTC
from espnet3.systems.asr.models.ctc_model import CTCModel
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


@pytest.mark.parametrize("name", MODELS)
def test_an_exported_model_gives_the_numbers_of_the_original(tmp_path: Path, name: str) -> None:
    model = random_weights(MODELS[name]())
    write_onnx(model, BINS, tmp_path / "model.onnx")
    exported = OnnxModel(tmp_path / "model.onnx", num_threads=1)
    feats, lengths = utterances()
    with torch.inference_mode():
        layers = model.encode_layers(feats, lengths)
        found = [(model.ctc(layers[-1].hidden), layers[-1].lengths)]
        if model.auxiliary is not None:
            found.append((model.auxiliary(layers[0].hidden), layers[0].lengths))

    outputs = [exported.ctc_log_probs(feats.numpy(), lengths.numpy())]
    if model.auxiliary is not None:
        outputs = [*exported.ctc_and_auxiliary_log_probs(feats.numpy(), lengths.numpy())]

    for (expected, steps), (log_probs, onnx_steps) in zip(found, outputs, strict=True):
        assert onnx_steps.tolist() == steps.tolist()
        for row, (wanted, got, count) in enumerate(zip(expected.numpy(), log_probs, onnx_steps, strict=True)):
            np.testing.assert_allclose(got[:count], wanted[:count], atol=1e-4, err_msg=f"{LENGTHS[row]} frames")


def test_the_original_can_be_trained_on_after_its_export(tmp_path: Path) -> None:
    model = random_weights(BiLSTMCTC(BINS, TOKENS, **SMALL))
    feats, lengths = utterances()
    before = model.ctc_log_probs(feats, lengths)[0]
    write_onnx(model, BINS, tmp_path / "model.onnx")
    after = model.ctc_log_probs(feats, lengths)[0]
    assert torch.equal(after, before)
    after.sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None for parameter in model.parameters())

"""The torch features against those in numpy."""

from typing import Any

import numpy as np
import pytest
import torch

from espnet3.components.data.features import LogMel
from espnet3.components.modeling.features import TorchLogMel
from espnet3.errors import DataError

LENGTHS = (9000, 16000, 100, 401, 1)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="default"),
        pytest.param({"sample_rate": 8000, "n_mels": 40}, id="8 kHz"),
        pytest.param({"snip_edges": False}, id="mirrored edges"),
        pytest.param({"window": "hann", "preemphasis": 0.5, "remove_dc_offset": False}, id="other window"),
    ],
)
def test_each_utterance_of_a_batch_equals_numpy(options: dict[str, Any]) -> None:
    features = LogMel(**options)
    rng = np.random.default_rng(0)
    audio = 0.1 * rng.standard_normal((len(LENGTHS), max(LENGTHS)), np.float32) + 0.05  # noise beyond the ends too
    batch, frames = TorchLogMel(features)(torch.from_numpy(audio), torch.tensor(LENGTHS))
    assert frames.tolist() == [features.num_frames(n) for n in LENGTHS]
    for row, utterance, samples, count in zip(batch.numpy(), audio, LENGTHS, frames.tolist(), strict=True):
        np.testing.assert_allclose(row[:count], features(utterance[:samples]), rtol=0, atol=2e-3)
        assert not row[count:].any()


def test_an_empty_utterance_is_refused() -> None:
    with pytest.raises(DataError, match="one is empty"):
        TorchLogMel(LogMel())(torch.zeros(2, 800), torch.tensor([800, 0]))


def test_the_module_adds_nothing_to_a_checkpoint() -> None:
    assert not TorchLogMel(LogMel()).state_dict()

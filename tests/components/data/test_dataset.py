import pickle
from pathlib import Path

import numpy as np
import pytest

from espnet3.components.data.dataset import CombinedDataset, ManifestDataset, TransformedDataset
from espnet3.errors import DataError
from tests.components.data.corpus import record, tone, write_lines


def dataset(folder: Path, *numbers: int) -> ManifestDataset:
    folder.mkdir(exist_ok=True)
    lines = [record(n, start=0.1 * n, duration=0.5) for n in numbers]
    return ManifestDataset(str(write_lines(folder / "m.jsonl", lines)))


def test_a_sample_is_the_utterance_with_its_audio(tmp_path: Path) -> None:
    sample = dataset(tmp_path, 1)[0]
    np.testing.assert_allclose(sample["audio"], tone(1.0)[1600:9600], atol=1e-4)
    assert {key: value for key, value in sample.items() if key != "audio"} == {
        "utt_id": "u1",
        "sample_rate": 16000,
        "text": "TEXT 1",
        "speaker": "s1",
    }


def test_the_manifest_can_be_asked_without_audio(tmp_path: Path) -> None:
    data = dataset(tmp_path, 1, 2)
    (tmp_path / "a.wav").unlink()
    assert data.utterance(1).utt_id == "u2"
    assert list(data.durations) == [0.5, 0.5]
    with pytest.raises(DataError, match=r"a\.wav does not exist"):
        data[0]


def test_datasets_are_combined_end_to_end(tmp_path: Path) -> None:
    data = CombinedDataset([dataset(tmp_path / "a", 0, 1), dataset(tmp_path / "b"), dataset(tmp_path / "c", 2)])
    assert len(data) == len(data.durations) == 3
    assert [data[i]["utt_id"] for i in (0, 1, 2, -1, -3)] == ["u0", "u1", "u2", "u2", "u0"]
    assert [sample["utt_id"] for sample in data] == ["u0", "u1", "u2"]
    assert data.utterance(2).utt_id == "u2"
    assert pickle.loads(pickle.dumps(data))[2]["utt_id"] == "u2"


@pytest.mark.parametrize("index", [2, -3])
def test_an_index_outside_is_refused(tmp_path: Path, index: int) -> None:
    with pytest.raises(IndexError, match="has 2 utterances"):
        CombinedDataset([dataset(tmp_path, 0, 1)]).utterance(index)


def test_nothing_combined_is_empty() -> None:
    assert len(CombinedDataset([])) == len(CombinedDataset([]).durations) == 0


def test_a_transform_sees_every_sample(tmp_path: Path) -> None:
    data = TransformedDataset(dataset(tmp_path, 1), lambda sample: sample | {"text": sample["text"].lower()})
    assert data[0]["text"] == "text 1"
    assert data.utterance(0).text == "TEXT 1"
    assert (len(data), list(data.durations)) == (1, [0.5])

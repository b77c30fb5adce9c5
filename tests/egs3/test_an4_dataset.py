import io
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from egs3.an4.asr.dataset import Dataset, DatasetBuilder
from espnet3.components.data.manifest import Manifest
from espnet3.errors import ConfigError, DataError
from espnet3.systems.base.create_dataset import create_dataset

TRAIN_SPEAKERS = ("faaa", "fbbb", "fccc", "maaa", "mbbb", "mccc", "mddd", "meee")
TEST_SPEAKERS = ("fzzz", "mzzz")


def sphere(seconds: float = 0.5) -> bytes:
    audio = io.BytesIO()
    soundfile.write(audio, np.full(round(16000 * seconds), 0.1), 16000, format="NIST")
    return audio.getvalue()


def corpus() -> dict[str, bytes]:
    """Files of a small AN4: two utterances of each speaker."""
    files = {"LICENSE": b"AN4 License Terms\n", "wav/an4_clstk/faaa/an0-unlisted-b.sph": sphere()}
    for part, folder, speakers in (("train", "an4_clstk", TRAIN_SPEAKERS), ("test", "an4test_clstk", TEST_SPEAKERS)):
        names = [(speaker, f"an{number}-{speaker}-b") for speaker in speakers for number in (1, 2)]
        files |= {f"wav/{folder}/{speaker}/{name}.sph": sphere() for speaker, name in names}
        files[f"etc/an4_{part}.fileids"] = "".join(f"{folder}/{speaker}/{name}\n" for speaker, name in names).encode()
        lines = [f"<s> GO  {name[2]} </s> ({name})\n" if part == "train" else f"STOP ({name})\n" for _, name in names]
        files[f"etc/an4_{part}.transcription"] = "".join(lines).encode()
    return files


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"an4/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def config(data_dir: Path, archive: Path | str, **fields: Any) -> dict[str, Any]:
    def entry(split: str) -> dict[str, Any]:
        return {"data_src": "an4/asr", "name": split, "data_src_args": {"manifest": str(data_dir / f"{split}.jsonl")}}

    return {
        "data_dir": str(data_dir),
        "dataset": {split: [entry(split)] for split in ("train", "valid", "test")},
        "create_dataset": {"url": "http://127.0.0.1:9/an4", "sha256": 64 * "0", "archive": str(archive), **fields},
    }


def speakers(manifest: Path) -> set[str]:
    return {utterance.speaker for utterance in Manifest(manifest)}


def test_makes_manifests_of_an_archive(tmp_path: Path) -> None:
    data = tmp_path / "data"
    create_dataset(config(data, pack(tmp_path / "an4.tar.gz", corpus()), valid_speakers=3))
    train, valid, test = (Manifest(data / f"{split}.jsonl") for split in ("train", "valid", "test"))
    assert (len(train), len(valid), len(test)) == (10, 6, 4)
    assert test[0].utt_id == "an1-fzzz-b"
    assert (test[0].text, test[0].speaker) == ("STOP", "fzzz")
    assert test[0].audio == "source/an4/wav/an4test_clstk/fzzz/an1-fzzz-b.sph"
    assert {utterance.text for utterance in train} == {"GO 1", "GO 2"}
    assert Dataset(str(data / "test.jsonl"))[0]["audio"].shape == (8000,)
    assert (data / "source/an4/LICENSE").exists()


@pytest.mark.parametrize("count", [2, 4, 6])
def test_holds_out_both_sexes(tmp_path: Path, count: int) -> None:
    data = tmp_path / "data"
    create_dataset(config(data, pack(tmp_path / "an4.tar.gz", corpus()), valid_speakers=count))
    valid = speakers(data / "valid.jsonl")
    assert len(valid) == count
    assert {name[0] for name in valid} == {"f", "m"}
    assert not valid & speakers(data / "train.jsonl")


def test_the_choice_depends_on_the_seed_alone(tmp_path: Path) -> None:
    archive = pack(tmp_path / "an4.tar.gz", corpus())
    for name, seed in (("a", 0), ("b", 0), ("c", 1), ("d", 2), ("e", 3)):
        create_dataset(config(tmp_path / name, archive, valid_speakers=2, seed=seed))
    contents = [(tmp_path / name / "train.jsonl").read_bytes() for name in "abcde"]
    assert contents[0] == contents[1]
    assert len(set(contents)) > 1


@pytest.mark.parametrize("count", [0, 1, 8, -1])
def test_refuses_to_hold_out_none_or_all(tmp_path: Path, count: int) -> None:
    with pytest.raises(ConfigError, match=r"training_config\.create_dataset\.valid_speakers is"):
        create_dataset(config(tmp_path / "data", pack(tmp_path / "an4.tar.gz", corpus()), valid_speakers=count))


BROKEN = {
    "no lists": ({"etc/an4_train.transcription": None}, "not AN4 in its original layout"),
    "no transcript": ({"etc/an4_test.transcription": b"GO (an1-fzzz-b)\n"}, "has no transcript of an2-fzzz-b"),
    "bad line": (
        {"etc/an4_train.transcription": b"GO an1-faaa-b\n"},
        "an4_train.transcription:1: 'GO an1-faaa-b' is no",
    ),
    "no audio": ({"wav/an4test_clstk/fzzz/an1-fzzz-b.sph": None}, "an1-fzzz-b.sph does not exist"),
    "cut audio": ({"wav/an4test_clstk/fzzz/an1-fzzz-b.sph": sphere()[:5000]}, "an1-fzzz-b.sph is cut short"),
}


@pytest.mark.parametrize(("changes", "expected"), BROKEN.values(), ids=BROKEN)
def test_names_what_is_wrong_with_an_archive(tmp_path: Path, changes: dict[str, bytes | None], expected: str) -> None:
    files = {name: content for name, content in (corpus() | changes).items() if content is not None}
    with pytest.raises(DataError, match=expected):
        create_dataset(config(tmp_path / "data", pack(tmp_path / "an4.tar.gz", files), valid_speakers=2))
    assert not list((tmp_path / "data").glob("*.jsonl"))


def test_a_missing_archive_is_a_fault_of_the_config(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"create_dataset\.archive: there is no file .*nowhere"):
        create_dataset(config(tmp_path / "data", tmp_path / "nowhere"))


def test_the_builder_takes_what_the_recipe_gives(tmp_path: Path) -> None:
    builder = DatasetBuilder(data_dir=tmp_path, url="https://example.org/an4.tar.gz", sha256="0")
    assert not builder.is_source_prepared()
    assert not builder.is_built()


@pytest.mark.skipif("ESPNET3_AN4_ARCHIVE" not in os.environ, reason="ESPNET3_AN4_ARCHIVE does not name the AN4 archive")
def test_the_real_corpus(tmp_path: Path) -> None:
    create_dataset(config(tmp_path, os.environ["ESPNET3_AN4_ARCHIVE"], valid_speakers=6))
    sizes = {split: len(Manifest(tmp_path / f"{split}.jsonl")) for split in ("train", "valid", "test")}
    assert sizes["train"] + sizes["valid"] == 948
    assert sizes["test"] == 130
    assert len(speakers(tmp_path / "test.jsonl")) == 10
    assert len(speakers(tmp_path / "valid.jsonl")) == 6
    assert len(speakers(tmp_path / "train.jsonl")) == 68
    assert sum(len(utterance.text.split()) for utterance in Manifest(tmp_path / "test.jsonl")) == 773
    assert round(Manifest(tmp_path / "test.jsonl").durations.sum() / 60, 2) == 5.95

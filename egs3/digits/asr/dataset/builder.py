"""Unpacks the digits corpus that the package ships: create_dataset calls it.

`make_speech.py` made that corpus: `speech/<voice>.ogg`, each with many utterances, and an index for each split.
Checking the result is up to create_dataset.
"""

import hashlib
import importlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from espnet3.components.data.dataset_builder import DatasetBuilder
from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.errors import DataError
from espnet3.runtime.files import replacing_dir

SPLITS = ("train", "valid", "test")
RATE = 8000


@dataclass
class DigitsBuilder(DatasetBuilder):
    """`<data_dir>/audio/<voice>.flac` and `<data_dir>/{train,valid,test}.jsonl`, from the files beside this recipe.

    `<data_dir>/examples/<voice>.flac` are utterances of the test set, one of each voice, for the demo.
    """

    def is_source_prepared(self) -> bool:
        """Whether the package holds its speech."""
        return all((_speech() / f"{split}.jsonl").is_file() for split in SPLITS)

    def prepare_source(self) -> None:
        """The speech comes with the package, so there is nothing to fetch.

        Raises:
            DataError: it is not there.
        """
        raise DataError(
            f"{_speech()} lacks the speech of the digits recipe. It is part of the package: install it again, or make "
            "the speech anew with egs3/digits/asr/make_speech.py."
        )

    def is_built(self) -> bool:
        """Whether the manifests, which are written last, and the examples are there."""
        made = [*(self.data_dir / f"{split}.jsonl" for split in SPLITS), self.data_dir / "examples"]
        return all(path.exists() for path in made)

    def build(self) -> None:
        """Unpack the speech, then write the manifests.

        FLAC, because libsndfile does not seek exactly in the last second of an Ogg Vorbis file.
        """
        index = {split: list(_index(split)) for split in SPLITS}
        voices = sorted({entry["audio"] for entries in index.values() for entry in entries})
        # Threads, because libsndfile does not hold up Python while it works.
        with replacing_dir(self.data_dir / "audio") as folder, ThreadPoolExecutor() as threads:
            unpacked = zip(voices, threads.map(_unpack, voices), strict=True)
            checksums = {voice: _write(folder / f"{Path(voice).stem}.flac", flac) for voice, flac in unpacked}
        with replacing_dir(self.data_dir / "examples") as folder:
            for entry in _first_of_each_voice(index["test"]):
                _cut(entry, self.data_dir / "audio", folder)
        for split in SPLITS:
            write_manifest(self.data_dir / f"{split}.jsonl", (_utterance(entry, checksums) for entry in index[split]))


def _speech() -> Path:
    """The folder with the package's speech.

    Not by importlib.resources, which in Python 3.11 fails on the placeholder in the path of an editable install.
    """
    folders = [Path(entry) / "speech" for entry in importlib.import_module("egs3.digits.asr").__path__]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def _index(split: str) -> Iterator[dict[str, Any]]:
    for line in (_speech() / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def _unpack(name: str) -> bytes:
    """A voice's file as FLAC."""
    import soundfile

    samples, _ = soundfile.read(_speech() / name, dtype="int16")
    return _as_flac(samples)


def _first_of_each_voice(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({entry["speaker"]: entry for entry in reversed(entries)}.values())


def _cut(entry: dict[str, Any], audio: Path, folder: Path) -> None:
    """Write one utterance as a file of its own, for the demo to try."""
    import soundfile

    first, count = round(entry["start"] * RATE), round(entry["duration"] * RATE)
    path = audio / f"{Path(entry['audio']).stem}.flac"
    samples, _ = soundfile.read(path, dtype="int16", start=first, frames=count)
    _write(folder / f"{entry['speaker']}.flac", _as_flac(samples))


def _as_flac(samples: Any) -> bytes:
    """Samples of 16 bits as the content of a FLAC file: libsndfile itself does not say why it cannot write a file."""
    import soundfile

    content = BytesIO()
    soundfile.write(content, samples, RATE, format="FLAC", subtype="PCM_16")
    return content.getvalue()


def _write(path: Path, content: bytes) -> str:
    """Write a file; its checksum."""
    path.write_bytes(content)
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _utterance(entry: dict[str, Any], checksums: dict[str, str]) -> Utterance:
    fields = entry | {"audio": f"audio/{Path(entry['audio']).stem}.flac"}
    return Utterance(**fields, sample_rate=RATE, checksum=checksums[entry["audio"]])

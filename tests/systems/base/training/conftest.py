"""A training that takes seconds: forty notes of a second, named by the pitches that they are made of."""

import hashlib
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

RATE = 8000
DATASET_MODULE = "from espnet3.components.data.dataset import ManifestDataset as Dataset\n\n__all__ = ['Dataset']\n"
Config = dict[str, Any]


def write_split(folder: Path, name: str, count: int) -> None:
    from espnet3.components.data.manifest import Utterance, write_manifest

    generator = np.random.default_rng(len(name))
    utterances = []
    for index in range(count):
        pitches = generator.integers(1, 5, 3)
        seconds = np.arange(int(RATE * generator.uniform(0.5, 1.5))) / RATE
        part = (seconds / seconds[-1] * 2.999).astype(int)
        audio = 0.3 * np.sin(2 * np.pi * 300 * pitches[part] * seconds) + 0.01 * generator.standard_normal(len(seconds))
        path = folder / f"{name}-{index:03d}.wav"
        soundfile.write(path, audio, RATE)
        checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        text = "".join("abcd"[pitch - 1] for pitch in pitches)
        duration = len(seconds) / RATE
        utterances.append(Utterance(path.stem, path.name, 0.0, duration, RATE, text, f"{name}-singer", checksum))
    write_manifest(folder / f"{name}.jsonl", utterances)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from espnet3.components.data.tokenizer import CharTokenizer

    folder = tmp_path_factory.mktemp("notes")
    (folder / "dataset").mkdir()
    (folder / "dataset" / "__init__.py").write_text(DATASET_MODULE)
    write_split(folder, "train", 24)
    write_split(folder, "valid", 6)
    CharTokenizer(str(folder / "characters.json")).train(["abcd"])
    return folder


@pytest.fixture
def make_config(corpus: Path, tmp_path: Path) -> Callable[..., Config]:
    def make(exp: str = "exp", **changes: Any) -> Config:
        config = base_config(corpus, tmp_path / exp)
        for key, value in changes.items():
            node = config
            *parents, last = key.split("__")
            for parent in parents:
                node = node[parent]
            node[last] = value
        return config

    return make


def base_config(corpus: Path, exp_dir: Path) -> Config:
    return {
        "exp_dir": str(exp_dir),
        "data_dir": str(corpus),
        "stats_dir": str(corpus / "stats"),
        "recipe_dir": str(corpus),
        "seed": 7,
        "num_threads": 1,
        "dataset": {
            split: [{"data_src_args": {"manifest": str(corpus / f"{split}.jsonl")}}] for split in ("train", "valid")
        },
        "features": {"_target_": "espnet3.components.data.features.LogMel", "sample_rate": RATE, "n_mels": 20},
        "tokenizer": {
            "_target_": "espnet3.components.data.tokenizer.CharTokenizer",
            "path": str(corpus / "characters.json"),
        },
        "augment": [{"_target_": "espnet3.components.data.augment.SpeedPerturb", "factors": [0.9, 1.0, 1.1]}],
        "feature_augment": [{"_target_": "espnet3.components.data.augment.SpecAugment"}],
        "preprocessor": {"_target_": "espnet3.systems.asr.preprocessor.SpeechTextPreprocessor"},
        "model": {
            "_target_": "espnet3.systems.asr.models.bilstm.BiLSTMCTC",
            "hidden_size": 12,
            "projection_size": 12,
            "channels": [4, 4, 4],
            "normalize": "utterance",
        },
        "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.01, "weight_decay": 0.01},
        "scheduler": {"_target_": "espnet3.components.training.schedules.WarmupCosine", "warmup_steps": 4},
        "dataloader": {"batch_seconds": 10, "max_batch_size": 4, "num_workers": 0},
        "trainer": {"max_epochs": 3, "keep_checkpoints": 2, "log_every_n_steps": 2, "accelerator": "cpu"},
    }


@pytest.fixture
def manifest_with_a_hole(corpus: Path, tmp_path: Path) -> str:
    lines = (corpus / "train.jsonl").read_text().replace('"audio": "', f'"audio": "{corpus}/')
    path = tmp_path / "train.jsonl"
    path.write_text(lines.replace("train-000.wav", "gone.wav"))
    return str(path)


class Job:
    """A training in a process of its own, forked so that it need not import anything."""

    def __init__(self, config: Config) -> None:
        self.process = multiprocessing.get_context("fork").Process(target=_train, args=(config,))
        self.process.start()

    def ask(self, number: int) -> None:
        """Send a signal to the process; Ctrl-C, as a terminal does, to all of its group."""
        assert self.process.pid
        send = os.killpg if number == signal.SIGINT else os.kill
        send(self.process.pid, number)

    def wait(self, seconds: float = 60) -> int:
        self.process.join(seconds)
        assert self.process.exitcode is not None, "the training did not end in time"
        return self.process.exitcode


def _train(config: Config) -> None:
    from espnet3.runtime.failures import failure_of
    from espnet3.systems.base.training import train

    os.setpgid(0, 0)
    try:
        train(config)
    except BaseException as error:  # noqa: BLE001
        failure = failure_of(error)
        sys.stderr.write(failure.text)
        Path(config["exp_dir"], "error.txt").write_text(failure.text)
        os._exit(failure.exit_code)
    os._exit(0)


@pytest.fixture
def start() -> Callable[[Config], Job]:
    importlib.import_module("espnet3.systems.base.training_session")  # once, not in every process
    return Job

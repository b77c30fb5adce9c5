"""A finished experiment for the tests of packing: weights that were never trained, decoded and measured."""

import json
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from omegaconf import OmegaConf

from espnet3.components.data.audio import whole_file
from espnet3.components.data.manifest import write_manifest
from espnet3.components.data.stats import Moments, stats_file
from espnet3.components.training.checkpoints import write_averaged
from espnet3.config.instantiate import build
from espnet3.systems.asr.system import ASRSystem

RATE = 8000
MELS = 20
ASR = "espnet3.systems.asr"
GREEDY = {"_target_": f"{ASR}.decoding.greedy.GreedyDecoder"}
BILSTM = {
    "_target_": f"{ASR}.models.bilstm.BiLSTMCTC",
    "hidden_size": 16,
    "projection_size": 16,
    "channels": [4, 4, 8],
}
CONFORMER = {
    "_target_": f"{ASR}.models.conformer_ctc.ConformerCTC",
    "size": 16,
    "num_heads": 2,
    "num_layers": 2,
    "channels": [4, 4, 8],
}


def make_experiment(folder: Path, model: dict[str, Any] | None = None, auxiliary: bool = False) -> ASRSystem:
    """Everything that train, infer and measure leave, in `folder`; the System's paths are relative to it."""
    with chdir(folder):
        _data()
        training = _training(model or BILSTM, auxiliary)
        _weights(training, Path("exp"))
        system = ASRSystem(**configs(training))
        system.infer()
        system.measure()
    return system


def configs(training: dict[str, Any], **pack: Any) -> dict[str, Any]:
    """The System's slots; `pack` goes to `publication_config.pack_model`."""
    shared = {"exp_dir": "exp", "data_dir": "data", "dataset": training["dataset"]}
    recogniser = {"_target_": f"{ASR}.inference.Recogniser", "exp_dir": "exp", "decoder": GREEDY}
    inference = {**shared, "inference_dir": "exp/greedy", "model": recogniser}
    metrics = [{"metric": {"_target_": f"{ASR}.metrics.{name.lower()}.{name}"}} for name in ("WER", "CER")]
    asked = {"pack_dir": "exp/pack", "title": "Letters", "language": ["en"], "licence": "apache-2.0", **pack}
    publication = {"exp_tag": "tiny", "inference_dir": "exp/greedy", "model": recogniser, "pack_model": asked}
    return {
        "training_config": training,
        "inference_config": inference,
        "metrics_config": {**shared, "inference_dir": "exp/greedy", "metrics": metrics},
        "publication_config": {"exp_dir": "exp", **publication},
    }


def _data() -> None:
    rng = np.random.default_rng(1)
    utterances = []
    for number, seconds in enumerate((0.8, 1.1, 0.6)):
        path = Path("data", f"a{number}.wav")
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, rng.normal(0, 0.1, int(seconds * RATE)), RATE)
        utterances.append(whole_file(f"u{number}", path, path.parent, "ab c d", "anna"))
    write_manifest(Path("data/test.jsonl"), utterances)
    Path("data/characters.json").write_text(
        json.dumps({"symbols": ["<blank>", "<unk>", "<space>", *"abcdef", "<sos/eos>"]}), encoding="utf-8"
    )
    Path("data/words.dic").write_text("ab AA B\nba B AA\n", encoding="utf-8")
    moments = Moments(MELS)
    moments.add(rng.normal(size=(50, MELS)).astype(np.float32))
    moments.write(stats_file("data/stats"))


def _training(model: dict[str, Any], auxiliary: bool) -> dict[str, Any]:
    tokenizers = {"tokenizer": {"_target_": "espnet3.components.data.tokenizer.CharTokenizer"}}
    tokenizers["tokenizer"]["path"] = "data/characters.json"
    if auxiliary:
        target = "espnet3.components.data.lexicon.LexiconTokenizer"
        tokenizers["auxiliary_tokenizer"] = {"_target_": target, "path": "data/words.dic"}
    test = {"data_src": "tests.systems.base.manifests", "data_src_args": {"manifest": "data/test.jsonl"}}
    return {
        "exp_tag": "tiny",
        "exp_dir": "exp",
        "data_dir": "data",
        "stats_dir": "data/stats",
        "seed": 3,
        "dataset": {"test": [{"name": "test", **test}]},
        "features": {"_target_": "espnet3.components.data.features.LogMel", "sample_rate": RATE, "n_mels": MELS},
        **tokenizers,
        "augment": [{"_target_": "not.needed.in.Inference"}],
        "preprocessor": {"_target_": f"{ASR}.preprocessor.SpeechTextPreprocessor"},
        "model": model,
        "optimizer": {"_target_": "torch.optim.AdamW"},
    }


def _weights(training: dict[str, Any], exp_dir: Path) -> None:
    exp_dir.mkdir()
    (exp_dir / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(training)), encoding="utf-8")
    sizes = {"input_size": MELS, "vocab_size": 10}
    if "auxiliary_tokenizer" in training:
        sizes["auxiliary_size"] = 4
    torch.manual_seed(4)
    model = build(training["model"], "model", **sizes)
    write_averaged(model.state_dict(), exp_dir / "averaged.safetensors", {"members": [{"epoch": 1}], "step": 5})


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lease"
    }


def with_pack(system: ASRSystem, **pack: Any) -> ASRSystem:
    """The same experiment with other settings of pack_model."""
    training = OmegaConf.to_container(system.training_config)
    assert isinstance(training, dict)
    return ASRSystem(**configs({str(key): value for key, value in training.items()}, **pack))

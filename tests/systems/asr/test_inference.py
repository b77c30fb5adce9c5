"""Recogniser: what train left, loaded and used; the weights are untrained, because the words do not matter here."""

import json
import multiprocessing
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from omegaconf import OmegaConf
from safetensors.torch import save_file

from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.components.data.scp import read_scp
from espnet3.config.instantiate import build
from espnet3.errors import ConfigError, DataError
from espnet3.parallel.pool import Report, run_tasks
from espnet3.systems.asr.decoding.greedy import GreedyDecoder
from espnet3.systems.asr.decoding.joint_beam import JointBeamDecoder
from espnet3.systems.asr.decoding.prefix_beam import PrefixBeamDecoder
from espnet3.systems.asr.decoding.rescore import AuxiliaryRescorer
from espnet3.systems.asr.inference import Recogniser, choose_device
from espnet3.systems.base.inference import infer

MODELS = "espnet3.systems.asr.models"
DECODING = "espnet3.systems.asr.decoding"
RATE = 8000

Config = dict[str, Any]

BILSTM: Config = {
    "_target_": f"{MODELS}.bilstm.BiLSTMCTC",
    "hidden_size": 16,
    "num_layers": 2,
    "projection_size": 16,
    "channels": [4, 4, 8],
}
JOINT: Config = {
    "_target_": f"{MODELS}.joint.ConformerJoint",
    "size": 16,
    "num_heads": 2,
    "num_layers": 2,
    "channels": [4, 4, 8],
    "decoder_layers": 1,
    "decoder_heads": 2,
    "decoder_feedforward": 32,
}


@pytest.fixture(params=[BILSTM, JOINT], ids=["bilstm", "joint"])
def exp(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return trained(request.param, tmp_path, monkeypatch)


@pytest.fixture
def bilstm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return trained(BILSTM, tmp_path, monkeypatch)


def trained(model: Config, folder: Path, monkeypatch: pytest.MonkeyPatch, auxiliary: bool = False) -> Path:
    """The folder that a training leaves, with weights that were never trained."""
    monkeypatch.chdir(folder)
    symbols = ["<blank>", "<unk>", "<space>", *"abcdef", "<sos/eos>"]
    Path("characters.json").write_text(json.dumps({"symbols": symbols}))
    Path("words.dic").write_text("ab AA B\nba B AA\n")
    config: Config = {
        "features": {
            "_target_": "espnet3.components.data.features.LogMel",
            "sample_rate": RATE,
            "n_mels": 20,
        },
        "tokenizer": {"_target_": "espnet3.components.data.tokenizer.CharTokenizer", "path": "characters.json"},
        "augment": [{"_target_": "not.needed.in.Inference"}],
        "preprocessor": {"_target_": "espnet3.systems.asr.preprocessor.SpeechTextPreprocessor"},
        "model": model,
    }
    sizes = {"input_size": 20, "vocab_size": len(symbols)}
    if auxiliary:
        config["auxiliary_tokenizer"] = {
            "_target_": "espnet3.components.data.lexicon.LexiconTokenizer",
            "path": "words.dic",
        }
        sizes["auxiliary_size"] = 4
    torch.manual_seed(1)
    exp = folder / "exp"
    exp.mkdir()
    OmegaConf.save(OmegaConf.create(config), exp / "config.yaml")
    weights = build(model, "model", **sizes).state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, exp / "averaged.safetensors")
    return exp


def sample(seconds: float, seed: int, rate: int = RATE) -> Any:
    audio = np.random.default_rng(seed).normal(size=int(seconds * rate)).astype(np.float32) * 0.1
    return {"utt_id": f"u{seed}", "audio": audio, "sample_rate": rate, "text": "ab", "speaker": "s"}


SAMPLES = [sample(0.9, 1), sample(0.4, 2), sample(1.5, 3), sample(0.6, 4)]


@pytest.mark.parametrize("decoder", [GreedyDecoder(), PrefixBeamDecoder(beam=4)], ids=["greedy", "beam"])
def test_neighbours_in_a_batch_change_nothing(exp: Path, decoder: Any) -> None:
    recogniser = Recogniser(str(exp), decoder, device="cpu")
    together = recogniser(SAMPLES)
    alone = [recogniser([sample])[0] for sample in SAMPLES]
    assert [output["hyp"] for output in together] == [output["hyp"] for output in alone]
    assert [float(output["score"]) for output in together] == pytest.approx(
        [float(output["score"]) for output in alone], rel=1e-4
    )


def test_tokens_and_text_say_the_same(bilstm: Path) -> None:
    for output in Recogniser(str(bilstm), GreedyDecoder())(SAMPLES):
        letters = [
            " " if symbol == "<space>" else symbol.replace("<unk>", "\ufffd") for symbol in output["tokens"].split()
        ]
        assert "".join(letters).replace("<sos/eos>", "") == output["hyp"]


def test_other_sample_rates_are_resampled(bilstm: Path) -> None:
    output = Recogniser(str(bilstm), GreedyDecoder())([sample(0.5, 1, rate=16000)])
    assert list(output[0]) == ["hyp", "tokens", "score"]


def test_joint_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = trained(JOINT, tmp_path, monkeypatch)
    recogniser = Recogniser(str(exp), JointBeamDecoder(beam=3), device="cpu")
    together = recogniser(SAMPLES[:2])
    assert [output["hyp"] for output in together] == [recogniser([sample])[0]["hyp"] for sample in SAMPLES[:2]]


def test_rescoring_with_an_auxiliary_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exp = trained(BILSTM, tmp_path, monkeypatch, auxiliary=True)
    outputs = Recogniser(str(exp), AuxiliaryRescorer(PrefixBeamDecoder(beam=4)))(SAMPLES)
    assert len(outputs) == 4


def test_the_stage_from_config_to_scp_with_a_language_model(bilstm: Path) -> None:
    utterances = []
    for number, one in enumerate(SAMPLES):
        soundfile.write(f"{number}.wav", one["audio"], RATE)
        seconds = len(one["audio"]) / RATE
        utterances.append(Utterance(one["utt_id"], f"{number}.wav", 0.0, seconds, RATE, "ab ba", "s", ""))
    write_manifest("test.jsonl", utterances)
    lm = {"_target_": f"{DECODING}.ngram.WordNgram", "manifest": "test.jsonl", "order": 2}
    decoder = {"_target_": f"{DECODING}.prefix_beam.PrefixBeamDecoder", "beam": 4, "lm": lm, "closed": True}
    config = {
        "exp_dir": "exp",
        "inference_dir": "exp/beam",
        "dataset": {
            "test": [
                {
                    "name": "test",
                    "data_src": "tests.systems.base.manifests",
                    "data_src_args": {"manifest": "test.jsonl"},
                }
            ]
        },
        "model": {"_target_": "espnet3.systems.asr.inference.Recogniser", "exp_dir": "exp", "decoder": decoder},
        "output_keys": ["hyp", "tokens", "score"],
        "num_threads": 1,
    }
    infer(config)
    hypotheses = read_scp("exp/beam/test/hyp.scp")
    assert list(hypotheses) == ["u1", "u2", "u3", "u4"]
    assert {word for text in hypotheses.values() for word in text.split()} <= {"ab", "ba"}


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


def widen(path: Path) -> None:
    path.write_text(path.read_text().replace("hidden_size: 16", "hidden_size: 32"))


@pytest.mark.parametrize(
    ("file", "harm", "message"),
    [
        pytest.param("config.yaml", Path.unlink, r"config\.yaml does not exist.*Run train", id="untrained"),
        pytest.param("averaged.safetensors", Path.unlink, r"safetensors does not exist.*Run train", id="unfinished"),
        pytest.param("averaged.safetensors", cut, r"averaged\.safetensors is damaged", id="cut short"),
        pytest.param("config.yaml", widen, "weights of another model", id="another model"),
        pytest.param(
            "../characters.json", Path.unlink, r"characters\.json is missing.*train_tokenizer", id="tokenizer"
        ),
    ],
)
def test_what_train_left_is_checked(bilstm: Path, file: str, harm: Any, message: str) -> None:
    harm(bilstm / file)
    with pytest.raises(DataError, match=message):
        Recogniser(str(bilstm), GreedyDecoder())


def test_a_decoder_is_needed(bilstm: Path) -> None:
    with pytest.raises(ConfigError, match="decoder needs a _target_"):
        Recogniser(str(bilstm), {"beam": 3})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("process", "gpus", "expected"),
    [
        ("MainProcess", 0, "cpu"),
        ("SpawnProcess-1", 0, "cpu"),
        ("MainProcess", 1, "cuda"),
        ("SpawnProcess-2", 1, "cuda"),
        ("MainProcess", 4, "cuda"),
        ("SpawnProcess-1", 4, "cuda:0"),
        ("SpawnProcess-2", 4, "cuda:1"),
        ("SpawnProcess-4", 4, "cuda:3"),
        ("SpawnProcess-5", 4, "cuda:0"),
        ("SpawnProcess-3:12", 4, "cuda:3"),
    ],
)
def test_workers_take_the_gpus_in_turn(process: str, gpus: int, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(multiprocessing.current_process(), "name", process)
    assert choose_device("auto") == torch.device(expected)


def test_the_pools_workers_have_numbers() -> None:
    names = list(run_tasks(tell_name, [0, 1], workers=2))
    assert len({int(name.rpartition("-")[2]) % 2 for name in names}) == 2


def tell_name(_: int, report: Report) -> None:
    report(multiprocessing.current_process().name)
    time.sleep(1)  # so that one worker does not do both


@pytest.mark.parametrize("device", ["warp", "cuda:99"])
def test_a_device_that_is_not_there_is_named(bilstm: Path, device: str) -> None:
    with pytest.raises(ConfigError, match=f"device is '{device}'"):
        Recogniser(str(bilstm), GreedyDecoder(), device=device)

"""A packed recogniser: its ONNX models beside torch, its language model, and what is not one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from espnet3.components.data.scp import read_scp
from espnet3.errors import ConfigError
from espnet3.packs.loading import load
from espnet3.systems.asr.system import ASRSystem
from tests.packs.experiment import CONFORMER, make_experiment, tree, with_pack

Experiment = tuple[Path, ASRSystem]
PACK = Path("exp/pack")
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("backend", ["onnx", "onnx-int8"])
def test_the_onnx_models_are_compared_with_the_original(experiment: Experiment, backend: str) -> None:
    about = json.loads((PACK / "meta.json").read_text())["onnx"]["int8" if "int8" in backend else "float32"]
    assert about["utterances"] == 3
    assert (PACK / about["file"]).stat().st_size == about["bytes"]
    hypotheses = list(read_scp(Path("exp/greedy/test/hyp.scp")).values())
    found = load(PACK, backend=backend)([f"data/a{number}.wav" for number in range(3)])
    assert sum(one != other for one, other in zip(found, hypotheses, strict=True)) == about["differing"]


def test_a_conformer_is_exported_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = make_experiment(tmp_path, CONFORMER)
    monkeypatch.chdir(tmp_path)
    with_pack(system, onnx={"export": True, "int8": False}).pack_model()
    about = json.loads((PACK / "meta.json").read_text())["onnx"]
    assert about["float32"]["differing"] == 0


@pytest.mark.parametrize("decoder", ["greedy.GreedyDecoder", "prefix_beam.PrefixBeamDecoder"])
def test_infer_runs_the_onnx_model_without_torch_and_writes_the_same(experiment: Experiment, decoder: str) -> None:
    config = experiment[1].inference_config.copy()
    config.model.decoder = {"_target_": f"espnet3.systems.asr.decoding.{decoder}"}
    config.inference_dir = "exp/torch"
    ASRSystem(inference_config=config).infer()
    target = "espnet3.systems.asr.onnx_inference.OnnxRecogniser"
    config.model = {"_target_": target, "pack_dir": "exp/pack", "decoder": config.model.decoder}
    config.inference_dir = "exp/onnx"
    OmegaConf.save(config, "onnx.yaml")
    code = (
        "import sys; sys.modules['torch'] = None; from omegaconf import OmegaConf\n"
        "from espnet3.systems.asr.system import ASRSystem\n"
        "ASRSystem(inference_config=OmegaConf.load('onnx.yaml')).infer()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_scp(Path("exp/onnx/test/hyp.scp")) == read_scp(Path("exp/torch/test/hyp.scp"))
    timings = [json.loads(Path(f"exp/{name}/test/timing.json").read_text()) for name in ("torch", "onnx")]
    assert [timing["backend"] for timing in timings] == ["torch float32", "onnxruntime float32"]


def test_8_bits_are_asked_for_and_named(experiment: Experiment) -> None:
    config = experiment[1].inference_config.copy()
    target = "espnet3.systems.asr.onnx_inference.OnnxRecogniser"
    given = {"_target_": target, "pack_dir": "exp/pack", "decoder": config.model.decoder}
    for variant in ("int8", "float32"):
        config.model, config.inference_dir = {**given, "variant": variant}, f"exp/{variant}"
        ASRSystem(inference_config=config).infer()
        timing = json.loads(Path(f"exp/{variant}/test/timing.json").read_text())
        assert timing["backend"] == f"onnxruntime {variant}"
        metrics = experiment[1].metrics_config.copy()
        metrics.inference_dir = config.inference_dir
        ASRSystem(metrics_config=metrics).measure()
        assert f"<td>onnxruntime {variant}</td>" in Path(config.inference_dir, "report.html").read_text()


def test_a_language_model_goes_along_without_its_transcripts(experiment: Experiment) -> None:
    system = with_pack(experiment[1])
    lm = {"_target_": "espnet3.systems.asr.decoding.ngram.WordNgram", "manifest": "data/test.jsonl", "order": 2}
    decoder = {"_target_": "espnet3.systems.asr.decoding.prefix_beam.PrefixBeamDecoder", "beam": 3, "lm": lm}
    system.publication_config.model.decoder = decoder
    system.pack_model()
    assert "decoder/ngram.arpa" in tree(PACK)
    assert not [name for name in tree(PACK) if name.endswith(".jsonl")]
    load(PACK)("data/a0.wav")


class OnlyFeatures:
    """The preprocessor of a System that has no text."""

    def __init__(self, features: object) -> None:
        self.features = features


def test_a_model_that_makes_no_text_is_no_pack(experiment: Experiment) -> None:
    config = OmegaConf.load("exp/config.yaml")
    assert isinstance(config, DictConfig)
    config.preprocessor = {"_target_": f"{__name__}.OnlyFeatures"}
    OmegaConf.save(config, "exp/config.yaml")
    with pytest.raises(ConfigError, match=r"config\.preprocessor uses no tokenizer, .* override pack_model"):
        with_pack(experiment[1]).pack_model()

"""pack_model: what is in a pack, that it is the same every time, and what it refuses to hand over."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from espnet3.components.data.scp import read_scp
from espnet3.errors import ConfigError, DataError
from espnet3.packs.loading import load
from espnet3.packs.pack import read_pack
from espnet3.systems.asr.system import ASRSystem
from tests.packs.experiment import CONFORMER, make_experiment, tree, with_pack

Experiment = tuple[Path, ASRSystem]
PACK = Path("exp/pack")
ROOT = Path(__file__).parents[3]


def test_a_pack_holds_what_is_allowed_and_no_more(experiment: Experiment) -> None:
    with_pack(experiment[1]).pack_model()
    assert sorted(tree(PACK)) == [
        "README.md",
        "SHA256SUMS",
        "auxiliary_tokenizer/words.dic",
        "feats_stats.json",
        "inference.yaml",
        "meta.json",
        "metrics.json",
        "model.safetensors",
        "tokenizer/characters.json",
    ]
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=PACK, check=False).returncode == 0
    meta = json.loads((PACK / "meta.json").read_text())
    assert meta["schema_version"] == 1
    assert meta["system"] == "espnet3.systems.asr.system.ASRSystem"
    assert meta["sample_rate"] == 8000
    assert meta["parameters"] > 1000
    assert meta["example"]["utterance"] == "u0"
    assert re.fullmatch(r"[0-9a-f]{64}", meta["config_sha256"])


def test_the_same_experiment_gives_the_same_bytes(experiment: Experiment) -> None:
    system = with_pack(experiment[1], onnx={"export": True, "int8": True})
    system.pack_model()
    before = tree(PACK)
    system.pack_model()
    assert tree(PACK) == before
    assert not list(Path("exp").glob(".*.tmp"))


def test_the_pack_recognises_what_infer_did(experiment: Experiment) -> None:
    hypotheses = read_scp(Path("exp/greedy/test/hyp.scp"))
    model = load(PACK, device="cpu")
    assert model([f"data/a{number}.wav" for number in range(3)]) == list(hypotheses.values())


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
    config.model = {"_target_": target, "pack_dir": "exp/pack", "variant": "float32", "decoder": config.model.decoder}
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


def test_the_card_has_the_results_and_what_the_hub_reads(experiment: Experiment) -> None:
    scores = json.loads(Path("exp/greedy/metrics.json").read_text())["test"]
    benchmarks = [{"test_set": "test", "dataset": "owner/letters", "task_id": "asr"}]
    with_pack(experiment[1], benchmarks=benchmarks, description="Letters.", limits="Not for words.").pack_model()
    card = (PACK / "README.md").read_text()
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["license"] == "apache-2.0"
    assert metadata["model-index"][0]["results"][0]["metrics"][0] == {
        "type": "wer",
        "value": scores["wer"],
        "name": "WER",
    }
    row = f"| test | 3 | WER | {scores['wer']:.2f} | {scores['wer_low']:.2f} to {scores['wer_high']:.2f} |"
    assert row in card
    assert "Not for words." in card
    [entry] = yaml.safe_load((PACK / ".eval_results/test_wer.yaml").read_text())
    assert entry == {"dataset": {"id": "owner/letters", "task_id": "asr"}, "value": scores["wer"]}


def test_the_card_tells_what_8_bits_cost(experiment: Experiment) -> None:
    about = json.loads((PACK / "meta.json").read_text())["onnx"]["int8"]
    rates = f"{about['wer']:.2f} | {about['wer'] - about['wer_torch']:+.2f}"
    row = f"| `model.int8.onnx` | {about['bytes'] / 1e6:.1f} | {about['differing']} of 3 | {rates} |"
    assert row in (PACK / "README.md").read_text()


def test_the_hub_client_reads_the_cards_metadata(experiment: Experiment) -> None:
    from huggingface_hub import ModelCard, parse_eval_result_entries

    benchmarks = [{"test_set": "test", "dataset": "owner/letters", "task_id": "asr"}]
    with_pack(experiment[1], benchmarks=benchmarks).pack_model()
    results = ModelCard.load(PACK / "README.md").data.eval_results
    assert results is not None
    assert [result.metric_type for result in results] == ["wer", "cer"]
    entries = parse_eval_result_entries(yaml.safe_load((PACK / ".eval_results/test_wer.yaml").read_text()))
    assert entries[0].dataset_id == "owner/letters"


def test_the_cards_lines_run(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    card = (PACK / "README.md").read_text()
    code = card.split("```python\n")[1].split("```")[0]
    for written, here in {
        "path/to/this/folder": str(PACK),
        "one.wav": "data/a0.wav",
        "two.wav": "data/a1.wav",
        "speech.wav": "data/a0.wav",
    }.items():
        assert written in code
        code = code.replace(written, here)
    exec(code, {"samples": np.zeros(8000, np.float32)})
    first, _, several = capsys.readouterr().out.splitlines()
    assert eval(several)[0] == first


def test_a_language_model_goes_along_without_its_transcripts(experiment: Experiment) -> None:
    system = with_pack(experiment[1])
    lm = {"_target_": "espnet3.systems.asr.decoding.ngram.WordNgram", "manifest": "data/test.jsonl", "order": 2}
    decoder = {"_target_": "espnet3.systems.asr.decoding.prefix_beam.PrefixBeamDecoder", "beam": 3, "lm": lm}
    system.publication_config.model.decoder = decoder
    system.pack_model()
    assert "decoder/ngram.arpa" in tree(PACK)
    assert not [name for name in tree(PACK) if name.endswith(".jsonl")]
    load(PACK)("data/a0.wav")


PRIVATE = [
    pytest.param(
        {"description": "see /home/anna/exp"}, r"README.md:\d+: '/home/anna/exp' is an absolute path", id="path"
    ),
    pytest.param({"data": "from C:\\data"}, "is an absolute path", id="windows path"),
    pytest.param({"data": "on gpu07.cluster.local"}, "'gpu07.cluster.local' is the name of a machine", id="host"),
    pytest.param({"data": "from 192.168.3.4"}, "'192.168.3.4' is the address of a machine", id="address"),
    pytest.param({"limits": "hf_" + "a" * 30}, "a text looks like an access token", id="token"),
    pytest.param({"data": "https://anna:pass@example.org"}, "password in an address", id="password"),
    pytest.param({"data": "x correct-horse-battery y"}, "a text is a secret of the environment", id="environment"),
    pytest.param({"data": "-----BEGIN RSA PRIVATE KEY-----"}, "is a private key", id="key"),
]


@pytest.mark.parametrize(("settings", "message"), PRIVATE)
def test_what_is_private_is_refused_and_the_earlier_pack_kept(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], message: str
) -> None:
    monkeypatch.setenv("MY_SECRET", "correct-horse-battery")
    before = tree(PACK)
    with pytest.raises(ConfigError, match=message) as refusal:
        with_pack(experiment[1], **settings).pack_model()
    assert "correct-horse" not in str(refusal.value)
    assert "aaaaaaa" not in str(refusal.value)
    assert tree(PACK) == before


def test_a_path_of_this_machine_in_a_copied_file_is_refused(experiment: Experiment) -> None:
    Path("data/words.dic").write_text(";;; from /srv/speech/words\nab AA B\nba B AA\n")
    with pytest.raises(ConfigError, match=r"auxiliary_tokenizer/words.dic:1: '/srv/speech/words' is an absolute path"):
        with_pack(experiment[1]).pack_model()


def test_a_folder_of_something_else_is_not_replaced(experiment: Experiment) -> None:
    Path("notes").mkdir()
    Path("notes/mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="notes holds files that are no pack"):
        with_pack(experiment[1], pack_dir="notes").pack_model()
    assert Path("notes/mine.txt").read_text() == "mine"


def test_a_folder_that_a_killed_run_was_about_to_claim_is_replaced(experiment: Experiment) -> None:
    Path("claimed").mkdir()
    Path("claimed/..lease.7.0123abcd.tmp").write_text("vm pid 7 0123")
    with_pack(experiment[1], pack_dir="claimed").pack_model()
    read_pack(Path("claimed"))
    assert not [name for name in tree(Path("claimed")) if name.endswith(".tmp")]


def test_without_a_trained_model_there_is_nothing_to_pack(experiment: Experiment) -> None:
    Path("exp/averaged.safetensors").unlink()
    with pytest.raises(DataError, match=r"averaged.safetensors does not exist.*Run train"):
        with_pack(experiment[1]).pack_model()


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


def test_a_missing_licence_file_is_named(experiment: Experiment) -> None:
    with pytest.raises(ConfigError, match=r"LICENCE\.txt does not exist"):
        with_pack(experiment[1], licence_file="LICENCE.txt").pack_model()


def test_without_scores_there_are_no_results(experiment: Experiment) -> None:
    Path("exp/greedy/metrics.json").unlink()
    with_pack(experiment[1]).pack_model()
    assert "## Results" not in (PACK / "README.md").read_text()


def test_without_its_data_a_model_is_packed_untried(experiment: Experiment) -> None:
    Path("data/test.jsonl").unlink()
    with_pack(experiment[1]).pack_model()
    assert "example" not in json.loads((PACK / "meta.json").read_text())

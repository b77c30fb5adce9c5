"""What the card tells of scores: every metric by its name, and nothing that was not measured."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.torch import load_file, save_file

from espnet3.errors import ConfigError
from espnet3.systems.asr.system import ASRSystem
from tests.packs.experiment import ASR, with_pack

Experiment = tuple[Path, ASRSystem]
PACK = Path("exp/pack")
METRICS = Path("exp/greedy/metrics.json")


def card_of(system: ASRSystem, **pack: Any) -> tuple[str, dict[str, Any]]:
    """The card's text and metadata."""
    with_pack(system, **pack).pack_model()
    text = (PACK / "README.md").read_text()
    return text, yaml.safe_load(text.split("---\n")[1])


def rate(name: str, unit: str = "words", **values: Any) -> dict[str, Any]:
    """What an error rate writes for a test set of one utterance."""
    counts = {"hits": 3, f"reference_{unit}": 4, "utterances": 1, "sentence_error_rate": 100.0, "normaliser": "none"}
    return {name: 25.0, **{f"{name}_{key}": value for key, value in {**counts, **values}.items()}}


def test_named_metrics_stand_in_the_results(experiment: Experiment) -> None:
    system = with_pack(experiment[1])
    system.metrics_config.metrics = [
        {"metric": {"_target_": f"{ASR}.metrics.wer.WER", "name": "wer_basic", "normaliser": "basic"}},
        {"metric": {"_target_": f"{ASR}.metrics.wer.WER"}},
        {"metric": {"_target_": f"{ASR}.metrics.cer.CER", "name": "letters"}},
    ]
    system.measure()
    scores = json.loads(METRICS.read_text())["test"]
    benchmarks = [{"test_set": "test", "dataset": "owner/letters", "metric": "wer_basic"}]
    text, metadata = card_of(system, benchmarks=benchmarks)
    for name, label in {"wer": "WER", "wer_basic": "WER (wer_basic)", "letters": "CER (letters)"}.items():
        interval = f"{scores[f'{name}_low']:.2f} to {scores[f'{name}_high']:.2f}"
        assert f"| test | 3 | {label} | {scores[name]:.2f} | {interval} |" in text
    assert text.count("| test |") == 3
    assert metadata["metrics"] == ["wer", "cer"]
    assert [each["type"] for each in metadata["model-index"][0]["results"][0]["metrics"]] == ["wer", "wer", "cer"]
    assert (PACK / ".eval_results/test_wer_basic.yaml").is_file()


SHOWN = [
    pytest.param({"a": rate("wer_basic")}, ["| a | 1 | WER (wer_basic) | 25.00 |  |"], id="no interval"),
    pytest.param({"a": rate("cer", "characters")}, ["| a | 1 | CER | 25.00 |  |"], id="characters"),
    pytest.param({"a": {"bleu": 31.234, "note": "x"}}, ["| a |  | bleu | 31.23 |  |"], id="another metric"),
    pytest.param({"a": {"certainty": 0.5}}, ["| a |  | certainty | 0.50 |  |"], id="begins with cer"),
    pytest.param({"a": {"insertions": 3}}, ["| a |  | insertions | 3 |  |"], id="a count of its own"),
    pytest.param({"a": {"gap_low": 1.5}}, ["| a |  | gap_low | 1.50 |  |"], id="suffix of nothing"),
    pytest.param(
        {"a": rate("wer", low=20.0, high=30.0, interval="95 %"), "b": {"note": "none"}},
        ["| a | 1 | WER | 25.00 | 20.00 to 30.00 |", "Intervals: 95 %. All values"],
        id="a set without numbers",
    ),
    pytest.param({"a": {"note": "none"}}, [], id="no numbers"),
    pytest.param({}, [], id="no test set"),
]


@pytest.mark.parametrize(("scores", "lines"), SHOWN)
def test_the_card_shows_the_numbers_of_metrics_json_and_no_empty_results(
    experiment: Experiment, scores: dict[str, Any], lines: list[str]
) -> None:
    METRICS.write_text(json.dumps(scores))
    text, metadata = card_of(experiment[1])
    for line in lines:
        assert line in text
    assert ("## Results" in text) == bool(lines)
    assert ("Intervals:" in text) == any("Intervals" in line for line in lines)
    results = metadata["model-index"][0]["results"] if lines else []
    assert len(results) == (1 if lines else 0)
    assert all(result["metrics"] for result in results)
    assert ("model-index" in metadata) == bool(lines)
    assert ("in per cent" in text) == any("WER" in line or "CER" in line for line in lines)


def other_weights(path: Path) -> None:
    """A safetensors file of the same model with other values."""
    weights = load_file("exp/averaged.safetensors")
    path.parent.mkdir(exist_ok=True)
    save_file({name: values + 1 for name, values in weights.items()}, path)


ONNX = {"_target_": f"{ASR}.onnx_inference.OnnxRecogniser", "pack_dir": "exp/pack", "exp_dir": None}
SCORED = [
    pytest.param("averaged.safetensors", {}, True, id="default"),
    pytest.param("averaged.safetensors", {"checkpoint": "averaged.safetensors"}, True, id="named"),
    pytest.param("copy.safetensors", {}, True, id="the same under another name"),
    pytest.param("last.safetensors", {"checkpoint": "last.safetensors"}, True, id="another for both"),
    pytest.param("last.safetensors", {}, False, id="packed another"),
    pytest.param("averaged.safetensors", {"checkpoint": "last.safetensors"}, False, id="scored another"),
    pytest.param("averaged.safetensors", {"checkpoint": "gone.safetensors"}, False, id="scored one that is gone"),
    pytest.param("averaged.safetensors", {"exp_dir": "exp2"}, False, id="of another experiment"),
    pytest.param("averaged.safetensors", {**ONNX, "variant": "float32"}, True, id="onnx"),
    pytest.param("last.safetensors", {**ONNX, "variant": "float32"}, False, id="onnx of another"),
    pytest.param("averaged.safetensors", ONNX, True, id="onnx without a word of its precision"),
    pytest.param("averaged.safetensors", {**ONNX, "variant": "int8"}, False, id="8 bits"),
]


@pytest.mark.parametrize(("packed", "model", "is_shown"), SCORED)
def test_the_scores_of_other_weights_are_left_out(
    experiment: Experiment, caplog: pytest.LogCaptureFixture, packed: str, model: dict[str, Any], is_shown: bool
) -> None:
    other_weights(Path("exp/last.safetensors"))
    other_weights(Path("exp2/averaged.safetensors"))
    shutil.copyfile("exp/averaged.safetensors", "exp/copy.safetensors")
    system = with_pack(experiment[1], checkpoint=packed)
    system.publication_config.model = {**system.publication_config.model, **model}
    system.pack_model()
    assert ("## Results" in (PACK / "README.md").read_text()) == is_shown
    assert (PACK / "metrics.json").is_file() == is_shown
    warned = [line for line in caplog.messages if f"publication_config.pack_model.checkpoint is exp/{packed}" in line]
    assert bool(warned) != is_shown


def test_a_benchmark_of_other_weights_is_refused(experiment: Experiment) -> None:
    other_weights(Path("exp/last.safetensors"))
    benchmarks = [{"test_set": "test", "dataset": "owner/letters"}]
    with pytest.raises(ConfigError, match="no wer of the test set test in the results of these weights"):
        card_of(experiment[1], benchmarks=benchmarks, checkpoint="last.safetensors")


@pytest.mark.parametrize("metric", ["mer", "wer_normaliser", "wer_low"])
def test_a_benchmark_without_a_score_is_named(experiment: Experiment, metric: str) -> None:
    benchmarks = [{"test_set": "test", "dataset": "owner/letters", "metric": metric}]
    with pytest.raises(ConfigError, match=rf"benchmarks\.0: there is no {metric} of the test set test"):
        card_of(experiment[1], benchmarks=benchmarks)


def test_the_word_error_rate_of_onnx_is_told_apart_from_the_results(experiment: Experiment) -> None:
    text, _ = card_of(experiment[1], onnx={"export": True, "int8": False})
    assert "This WER is of the texts as they are written" in text


def test_onnx_models_that_were_not_compared_are_called_so(experiment: Experiment) -> None:
    Path("data/test.jsonl").unlink()
    text, _ = card_of(experiment[1], onnx={"export": True, "int8": False})
    assert "MB" in text
    assert "| not compared |" in text
    assert "as they are written" not in text


def test_without_references_the_texts_of_onnx_models_are_compared_all_the_same(experiment: Experiment) -> None:
    manifest = Path("data/test.jsonl")
    manifest.write_text(manifest.read_text().replace("ab c d", ""))
    text, _ = card_of(experiment[1], onnx={"export": True, "int8": False})
    assert "| 0 of 3 |  |  |" in text
    assert "as they are written" not in text


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
    assert "Decoded with the greedy decoder; the model ran in torch float32." in card
    assert json.loads((PACK / "meta.json").read_text())["backend"] == "torch float32"
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

"""The measure stage: what it writes, metrics from YAML, and input that is wrong."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import espnet3.systems
from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.components.data.scp import write_scp
from espnet3.errors import ConfigError, DataError
from espnet3.systems.base.metric import measure

RATE = 8000
REFS = {"ann-1": "one two", "ann-2": "three <b>four</b>", "bob-1": "five", "bob-2": "six & seven"}
HYPS = {"ann-1": "one two", "ann-2": "three <b>for</b>", "bob-1": "five five", "bob-2": "six seven"}
WER = {"metric": {"_target_": "espnet3.systems.asr.metrics.wer.WER"}}
CER = {"metric": {"_target_": "espnet3.systems.asr.metrics.cer.CER"}}
MY_METRIC = """\
from espnet3.components.metrics.base_metric import BaseMetric

class MyMetric(BaseMetric):
    def __call__(self, data, context):
        right = sum(data["ref"][utt_id] == hyp for utt_id, hyp in data["hyp"].items())
        (context.output_dir / "right.txt").write_text(str(right))
        return {"right": right, "speakers": len(set(context.speakers.values()))}

class Odd(BaseMetric):
    inputs = ("ref", "hyp", "score")

    def __init__(self, value=0.0):
        self.value = value

    def __call__(self, data, context):
        return {"wer": float(self.value) if self.value != "list" else []}

class NoMetric:
    pass
"""
Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two test sets of four utterances that infer has decoded."""
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset/__init__.py").write_text(
        "from espnet3.components.data.dataset import ManifestDataset as Dataset\n"
    )
    noise = np.random.default_rng(0).normal(0, 0.1, 4 * RATE)
    soundfile.write(tmp_path / "speech.wav", noise, RATE)
    write_manifest(
        tmp_path / "test.jsonl",
        [
            Utterance(utt_id, "speech.wav", float(n), 1.0, RATE, text, utt_id.split("-")[0], "sha256:0")
            for n, (utt_id, text) in enumerate(REFS.items())
        ],
    )
    for name in ("clean", "noisy"):
        write_scp(tmp_path / "greedy" / name / "hyp.scp", HYPS)
    references = [
        {"name": name, "data_src_args": {"manifest": f"{tmp_path}/test.jsonl"}} for name in ("clean", "noisy")
    ]
    return {
        "exp_tag": "small",
        "exp_dir": str(tmp_path),
        "inference_dir": str(tmp_path / "greedy"),
        "recipe_dir": str(tmp_path),
        "dataset": {"test": references},
        "metrics": [WER, CER],
    }


@pytest.fixture
def my_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module of a System that is not part of the package: espnet3.systems.toy.metrics.my_metric."""
    folder = tmp_path / "systems/toy/metrics"
    folder.mkdir(parents=True)
    (folder / "my_metric.py").write_text(MY_METRIC)
    monkeypatch.setattr(espnet3.systems, "__path__", [*espnet3.systems.__path__, str(tmp_path / "systems")])
    return "espnet3.systems.toy.metrics.my_metric"


def scores(config: Config) -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads((Path(config["inference_dir"]) / "metrics.json").read_text())
    return loaded


def report(config: Config) -> str:
    return (Path(config["inference_dir"]) / "report.html").read_text()


def test_scores_of_every_test_set(config: Config) -> None:
    measure(config)

    found = scores(config)
    assert list(found) == ["clean", "noisy"]
    assert found["clean"] == found["noisy"]
    assert found["clean"]["wer"] == 37.5
    assert (found["clean"]["wer_low"], found["clean"]["wer_high"]) == (25.0, 50.0)
    assert {"cer", "cer_normaliser", "wer_reference_words", "cer_reference_characters"} <= found["clean"].keys()
    assert list(found["clean"]) == sorted(found["clean"])


def test_the_same_bytes_twice_and_whatever_the_speed(config: Config) -> None:
    folder = Path(config["inference_dir"])
    measure(config)
    files = [
        folder / "metrics.json",
        *(folder / "clean" / name for name in ("utterances.tsv", "speakers.tsv", "errors.txt")),
    ]
    before = [file.read_bytes() for file in files]
    timing = {"audio_seconds": 4.0, "decode_seconds": 0.5, "real_time_factor": 0.125, "device": "cpu", "threads": 1}
    timing["latency_seconds"] = {"p50": 0.1, "p90": 0.2, "p95": 0.3, "p99": 0.4}
    (folder / "clean/timing.json").write_text(json.dumps(timing))

    measure(config)

    assert [file.read_bytes() for file in files] == before
    assert "0.1250" in report(config)


def test_tables_and_listing(config: Config) -> None:
    measure(config)

    folder = Path(config["inference_dir"]) / "clean"
    assert (folder / "speakers.tsv").read_text().splitlines()[1].startswith("ann\t2\t2.00\t25.00\t1\t4\t")
    assert (folder / "utterances.tsv").read_text().splitlines()[3].endswith("\tfive\tfive five")
    assert "REF: five ****\nHYP: five five\n" in (folder / "errors.txt").read_text()


class Page(HTMLParser):
    """What a report refers to, and whether its elements are closed."""

    void = frozenset(["meta"])

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.audio = 0
        self.ids: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.void:
            self.open.append(tag)
        given = dict(attrs)
        self.links += [value for key, value in attrs if key in ("src", "href") and value]
        self.ids += [value for key, value in attrs if key == "id" and value]
        self.audio += tag == "audio" and "aria-label" in given

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_holds_all_it_needs(config: Config, tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss,valid/loss\n0,1,3.0,\n0,2,2.0,2.5\n")

    measure(config)

    text = report(config)
    page = Page(text)
    assert page.open == []
    assert all(link.startswith(("#", "data:audio/flac;base64,")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert page.audio == 6
    assert "train/loss" in text
    assert "37.50" in text
    assert not re.search(r"<script|@import|url\(", text)


def test_texts_cannot_become_markup(config: Config) -> None:
    measure(config)

    assert "<b>" not in report(config)
    assert "&lt;b&gt;four&lt;/b&gt;" in report(config)


def test_a_report_without_training_audio_or_errors(config: Config, tmp_path: Path) -> None:
    write_scp(tmp_path / "greedy/clean/hyp.scp", REFS)
    (tmp_path / "speech.wav").unlink()

    measure(config | {"exp_dir": None})

    page = Page(report(config))
    assert page.audio == 0
    assert "The audio cannot be read" in report(config)
    assert scores(config)["clean"]["wer"] == 0.0


def test_the_number_of_worst_utterances(config: Config) -> None:
    measure(config | {"worst_utterances": 1})

    assert Page(report(config)).audio == 2


def test_a_metric_named_from_yaml(config: Config, my_metric: str) -> None:
    measure(config | {"metrics": [{"metric": {"_target_": f"{my_metric}.MyMetric"}}]})

    assert scores(config)["clean"] == {"right": 1, "speakers": 2}
    assert (Path(config["inference_dir"]) / "clean/right.txt").read_text() == "1"
    assert "right" in report(config)
    assert not (Path(config["inference_dir"]) / "clean/errors.txt").exists()


def test_inputs_of_a_metrics_choice(config: Config, tmp_path: Path) -> None:
    for name in ("clean", "noisy"):
        write_scp(tmp_path / "greedy" / name / "speaker.scp", dict.fromkeys(REFS, "ann"))

    measure(config | {"metrics": [WER | {"inputs": {"ref": "dataset:speaker", "hyp": "speaker"}}]})

    assert scores(config)["clean"]["wer"] == 50.0


def test_two_of_a_kind_with_names(config: Config) -> None:
    basic = {"metric": {**WER["metric"], "normaliser": "basic", "name": "wer_basic"}}

    measure(config | {"metrics": [WER, basic]})

    assert scores(config)["clean"]["wer_basic"] == 22.2222


@pytest.mark.parametrize(("language", "wer"), [(None, 100.0), ("tr", 0.0), (["az", "en"], 0.0), ("en", 100.0)])
def test_case_is_folded_by_the_language_of_the_config(config: Config, language: Any, wer: float) -> None:
    root = Path(config["exp_dir"])
    write_manifest(
        root / "test.jsonl", [Utterance("ann-1", "speech.wav", 0.0, 1.0, RATE, "I\u015eIK", "ann", "sha256:0")]
    )
    write_scp(root / "greedy/clean/hyp.scp", {"ann-1": "\u0131\u015f\u0131k"})
    test = {"test": config["dataset"]["test"][:1]}
    metric = {"metric": {**WER["metric"], "normaliser": "basic"}}
    named = {} if language is None else {"language": language}

    measure(config | {"dataset": test, "metrics": [metric], **named})

    assert scores(config)["clean"]["wer"] == wer


HYP_FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "no file": (Path.unlink, r"hyp\.scp does not exist.* run infer"),
    "an utterance missing": (lambda p: write_scp(p, {"ann-1": ""}), r"it lacks 3 \(ann-2, bob-1, bob-2\)"),
    "an utterance too many": (lambda p: write_scp(p, HYPS | {"eve-1": "x"}), r"it has in addition 1 \(eve-1\)"),
    "other utterances": (lambda p: write_scp(p, {"x": ""}), r"it lacks 4 .*; it has in addition 1 \(x\)"),
    "many missing": (lambda p: write_scp(p, {str(n): "" for n in range(9)}), r"9 \(0, 1, 2, 3, 4, \.\.\.\)"),
    "a line twice": (lambda p: p.write_text("ann-1 one\nann-1 one\n"), r"hyp\.scp:2: 'ann-1' was listed before"),
    "empty file": (lambda p: p.write_text(""), "it lacks 4"),
    "no text": (lambda p: p.write_bytes(b"\xff\xfe"), r"hyp\.scp:1: this is not UTF-8"),
}


@pytest.mark.parametrize(("spoil", "message"), HYP_FAULTS.values(), ids=HYP_FAULTS.keys())
def test_faulty_hypotheses(config: Config, tmp_path: Path, spoil: Callable[[Path], object], message: str) -> None:
    measure(config)
    before = (tmp_path / "greedy/metrics.json").read_bytes()
    spoil(tmp_path / "greedy/noisy/hyp.scp")

    with pytest.raises(DataError, match=message):
        measure(config)

    assert (tmp_path / "greedy/metrics.json").read_bytes() == before


def test_faulty_test_sets(config: Config, tmp_path: Path) -> None:
    lines = (tmp_path / "test.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "test.jsonl").write_text("".join([*lines, lines[0]]))
    with pytest.raises(DataError, match="Test set clean: 'ann-1' is there twice"):
        measure(config)

    (tmp_path / "test.jsonl").write_text("")
    with pytest.raises(DataError, match="Test set clean is empty"):
        measure(config)


def test_a_damaged_timing(config: Config, tmp_path: Path) -> None:
    (tmp_path / "greedy/clean/timing.json").write_text('{"audio_seconds": ')

    with pytest.raises(DataError, match=r"timing\.json is damaged .* Run infer again"):
        measure(config)


METRIC_FAULTS: dict[str, tuple[Config, str]] = {
    "no such class": ({"metric": {"_target_": "espnet3.systems.asr.metrics.wer.WERR"}}, r"metrics\.1\.metric"),
    "no metric": (
        {"metric": {"_target_": "{toy}.NoMetric"}},
        r"metrics\.1\.metric\._target_: .* is not a metric; derive",
    ),
    "unknown argument": (
        {"metric": {**CER["metric"], "normalizer": "basic"}},
        r"metrics\.1\.metric\.normalizer: .* did you mean normaliser",
    ),
    "unknown normaliser": ({"metric": {**CER["metric"], "normaliser": "x"}}, "no text normaliser 'x'"),
    "the same name": (WER, r"metrics\.1 \(WER\): another metric gives wer too"),
    "an input missing": (
        {"metric": {"_target_": "{toy}.Odd"}, "inputs": {"ref": "dataset:text"}},
        r"metrics\.1\.inputs lacks hyp, score; write dataset:<column>",
    ),
    "no such column": (
        CER | {"inputs": {"ref": "dataset:txt", "hyp": "hyp"}},
        r"inputs\.ref: .* no column 'txt'; it has",
    ),
    "not a number": (
        {"metric": {"_target_": "{toy}.Odd", "value": "nan"}, "inputs": dict.fromkeys(("ref", "hyp", "score"), "hyp")},
        r"metrics\.1 \(Odd\): wer is nan; a metric gives finite numbers and texts",
    ),
    "a list": (
        {"metric": {"_target_": "{toy}.Odd", "value": "list"}, "inputs": dict.fromkeys(("ref", "hyp", "score"), "hyp")},
        r"wer is \[\]; a metric gives finite numbers",
    ),
}


@pytest.mark.parametrize(("faulty", "message"), METRIC_FAULTS.values(), ids=METRIC_FAULTS.keys())
def test_faulty_metrics(config: Config, my_metric: str, faulty: Config, message: str) -> None:
    faulty = json.loads(json.dumps(faulty).replace("{toy}", my_metric))

    with pytest.raises(ConfigError, match=message):
        measure(config | {"metrics": [WER, faulty]})

    assert not (Path(config["inference_dir"]) / "metrics.json").exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"metrics": None}, ConfigError, r"metrics_config\.metrics"),
        ({"dataset": {"test": []}}, ConfigError, r"metrics_config\.dataset\.test is empty"),
        ({"seed": -1}, ConfigError, r"metrics_config\.seed"),
    ],
    ids=["no metrics", "no test set", "seed"],
)
def test_faulty_settings(config: Config, change: Config, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        measure(config | change)


def test_a_folder_of_infer_that_is_gone(config: Config, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "greedy/noisy")
    with pytest.raises(DataError, match=r"noisy/hyp\.scp does not exist"):
        measure(config)

    shutil.rmtree(tmp_path / "greedy")
    with pytest.raises(DataError, match=r"greedy does not exist. The infer stage writes it: run infer first"):
        measure(config)

    assert not (tmp_path / "greedy").exists()

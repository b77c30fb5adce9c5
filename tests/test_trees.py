"""The comparer of trees sees a single bit, and overlooks only what it says."""

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trees import differences, products, read_tree

RECORD = {
    "fingerprint": "ab",
    "inputs": {"settings": {"seed": 1}, "contents": {}, "code": {}},
    "outputs": {"exp/a": {"digest": "cd", "size": 1}},
    "made_by": {"commit": "e0"},
    "seconds": 1.5,
    "finished": "2026-01-01T01:00:00",
}
TIMING = {
    "decode_seconds": 1.0,
    "latency_seconds": {"p50": 0.1},
    "real_time_factor": 0.01,
    "utterances": 3,
    "device": "cpu",
}
INDEX = """\
{"manifest": {"size": 3, "mtime_ns": 11, "sha256": "ab"}, "files": 1, "body_bytes": 30, "body_sha256": "cd"}
file\t"a.wav"\t9\t22\tsha256:00
"""
ABOUT = {"recipe": "digits/asr", "git_commit": "ab", "versions": {"torch": "2.9"}}
CARD = "Recipe `digits/asr` with `ASRSystem`, espnet3 0.1.0, commit `ab`, seed 1.\n"
SUMS = "01  meta.json\n02  model.safetensors\n"
REPORT = '<h1>WER</h1><section aria-labelledby="speed">3 s</section><p>12.5</p>'
LOG = """\
2026-11-23 23:41:07,090 INFO espnet3.runtime.logs: train on a (Linux), 2 processors
command: python run.py
directory: /a
git: recipe unknown, espnet3 abc
versions: python 3.11
2026-11-23 23:41:07,093 INFO espnet3.pipeline.run: START train
2026-11-23 23:41:17,093 INFO espnet3.runtime.progress: epoch 1/3: 3/6 (50%), 0.25/s, 12 s left
2026-11-23 23:41:25,232 INFO espnet3.components.training.loop: epoch 1: train/loss 2.91, 264 times real time
2026-11-23 23:41:25,346 INFO espnet3.pipeline.run: DONE train in 18.3 s
"""
EVENTS = "exp/tensorboard/events.out.tfevents.1795477284.host.16763.0"


@pytest.fixture
def left(tmp_path: Path) -> Path:
    return make(tmp_path / "left")


@pytest.fixture
def right(tmp_path: Path, left: Path) -> Path:
    return Path(shutil.copytree(left, tmp_path / "right"))


def make(folder: Path) -> Path:
    write(folder / "data/train.jsonl", '{"utt_id": "a", "duration": 1.5}\n')
    write(folder / "data/.train.jsonl.audio", INDEX)
    write(folder / "data/.done/train.json", json.dumps(RECORD))
    write(folder / "exp/greedy/unseen/timing.json", json.dumps(TIMING))
    write(folder / "exp/greedy/report.html", REPORT)
    write(folder / "exp/train.log", LOG)
    write(folder / "exp/model_pack/meta.json", json.dumps(ABOUT))
    write(folder / "exp/demo_pack/model/README.md", CARD)
    write(folder / "exp/model_pack/SHA256SUMS", SUMS)
    (folder / "exp/averaged.safetensors").write_bytes(bytes(64))
    state = {"model": {"w": torch.tensor([1.0, float("nan")])}, "state": {"loss": float("nan"), "step": 3}}
    torch.save(state, folder / "exp/last.ckpt")
    write_events(folder / EVENTS, 0.5)
    return folder


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_events(path: Path, value: float, wall_time: float = 1.0) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary

    summary = Summary(value=[Summary.Value(tag="loss", simple_value=value)])
    records = [Event(wall_time=wall_time, file_version="brain.Event:2"), Event(step=2, summary=summary)]
    path.parent.mkdir(parents=True, exist_ok=True)
    data = [record.SerializeToString() for record in records]
    path.write_bytes(b"".join(struct.pack("<QI", len(each), 0) + each + bytes(4) for each in data))


def changed(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def flip(folder: Path) -> None:
    path = folder / "exp/averaged.safetensors"
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


def with_state(change: Callable[[Any], None]) -> Callable[[Path], None]:
    def changed_state(folder: Path) -> None:
        state = torch.load(folder / "exp/last.ckpt", weights_only=True)
        change(state)
        torch.save(state, folder / "exp/last.ckpt")

    return changed_state


def flip_weight(state: Any) -> None:
    state["model"]["w"].view(torch.int32)[0] ^= 1


def flip_nan(state: Any) -> None:
    state["model"]["w"].view(torch.int32)[1] ^= 1


def next_step(state: Any) -> None:
    state["state"]["step"] = 4


def smallest_change_of_an_event(folder: Path) -> None:
    write_events(folder / EVENTS, 0.5000001)


def remove(folder: Path) -> None:
    (folder / "data/train.jsonl").unlink()


def add(folder: Path) -> None:
    write(folder / "exp/greedy/unseen/.lease", "")


SEEN = {
    "a text": (changed("data/train.jsonl", "1.5", "1.4"), "data/train.jsonl"),
    "a bit of the weights": (flip, "exp/averaged.safetensors"),
    "a bit of a checkpoint": (with_state(flip_weight), "exp/last.ckpt: .model.w"),
    "a bit of a number that is none": (with_state(flip_nan), "exp/last.ckpt: .model.w"),
    "a step of a checkpoint": (with_state(next_step), "exp/last.ckpt: .state.step 3 is not 4"),
    "a setting in a record": (
        changed("data/.done/train.json", '"seed": 1', '"seed": 2'),
        "settings.seed 1 is not 2",
    ),
    "an output in a record": (changed("data/.done/train.json", '"cd"', '"ce"'), ".outputs.exp/a.digest cd is not ce"),
    "a field of a record": (changed("data/.done/train.json", '"inputs"', '"more": 1, "inputs"'), ".more"),
    "a recording's content": (changed("data/.train.jsonl.audio", "sha256:00", "sha256:01"), ".train.jsonl.audio: [1]"),
    "a recording's size": (changed("data/.train.jsonl.audio", "\t9\t", "\t8\t"), ".train.jsonl.audio: [1]"),
    "how many recordings": (changed("data/.train.jsonl.audio", '"files": 1', '"files": 2'), ".train.jsonl.audio: [0]"),
    "utterances decoded": (changed("exp/greedy/unseen/timing.json", ": 3", ": 4"), "timing.json: .utterances 3 is"),
    "a percentile": (changed("exp/greedy/unseen/timing.json", "p50", "p51"), "timing.json: .latency_seconds[0]"),
    "a score in the report": (changed("exp/greedy/report.html", "12.5", "12.6"), "exp/greedy/report.html"),
    "no speed in the report": (changed("exp/greedy/report.html", '"speed"', '"haste"'), "exp/greedy/report.html"),
    "a line of the log": (changed("exp/train.log", "2.91", "2.92"), "exp/train.log"),
    "a level in the log": (changed("exp/train.log", "INFO espnet3.comp", "ERROR espnet3.comp"), "exp/train.log"),
    "a version in the log": (changed("exp/train.log", "python 3.11", "python 3.12"), "exp/train.log"),
    "a word of a pack": (changed("exp/model_pack/meta.json", "digits", "an4"), ".recipe digits/asr is not an4/asr"),
    "a word of its card": (changed("exp/demo_pack/model/README.md", "seed 1", "seed 2"), "model/README.md"),
    "a sum of a pack": (changed("exp/model_pack/SHA256SUMS", "02  ", "03  "), "model_pack/SHA256SUMS: [0]"),
    "a value of TensorBoard's": (smallest_change_of_an_event, "exp/tensorboard/events.out.tfevents"),
    "a file that is gone": (remove, "only on the left: data/train.jsonl"),
    "a file that is new": (add, "only on the right: exp/greedy/unseen/.lease"),
}


@pytest.mark.parametrize("case", SEEN)
def test_a_change_is_seen(left: Path, right: Path, case: str) -> None:
    change, words = SEEN[case]
    assert differences(read_tree(left), read_tree(right)) == []
    change(right)
    (line,) = differences(read_tree(left), read_tree(right))
    assert words in line


def later_event(folder: Path) -> None:
    (folder / EVENTS).unlink()
    write_events(folder / "exp/tensorboard/events.out.tfevents.1795477999.other.3.0", 0.5, wall_time=9.0)


OVERLOOKED = {
    "when it was finished": changed("data/.done/train.json", "2026-01-01", "2026-01-02"),
    "the commit in a record": changed("data/.done/train.json", "e0", "e1"),
    "how long it took": changed("data/.done/train.json", "1.5", "2.5"),
    "when a recording was written": changed("data/.train.jsonl.audio", "\t22\t", "\t23\t"),
    "when a manifest was written": changed("data/.train.jsonl.audio", '"mtime_ns": 11', '"mtime_ns": 12'),
    "how fast it was": changed("exp/greedy/unseen/timing.json", "0.1", "0.2"),
    "the report of speed": changed("exp/greedy/report.html", "3 s", "4 s"),
    "times in the log": changed("exp/train.log", "2026-11-23 23", "2026-11-24 01"),
    "speeds in the log": changed("exp/train.log", "264 times", "98.5 times"),
    "seconds in the log": changed("exp/train.log", "18.3 s", "9.1 s"),
    "the machine": changed("exp/train.log", "on a (Linux), 2", "on b (Linux), 8"),
    "the command": changed("exp/train.log", "python run.py", "python -m stages.train"),
    "where a pack was made": changed("exp/model_pack/meta.json", "2.9", "2.10"),
    "the commit in its card": changed("exp/demo_pack/model/README.md", ", commit `ab`", ""),
    "the sum of what says so": changed("exp/model_pack/SHA256SUMS", "01  ", "04  "),
    "progress": changed("exp/train.log", "3/6 (50%), 0.25/s, 12 s left", "4/6 (67%), 0.5/s, 4 s left"),
    "the name of the events": later_event,
}


@pytest.mark.parametrize("case", OVERLOOKED)
def test_what_is_of_the_moment_is_overlooked(left: Path, right: Path, case: str) -> None:
    before = {path: path.read_bytes() for path in right.rglob("*") if path.is_file()}
    OVERLOOKED[case](right)
    assert before != {path: path.read_bytes() for path in right.rglob("*") if path.is_file()}
    assert differences(read_tree(left), read_tree(right)) == []


def test_products_are_all_but_what_tells_of_attempts(left: Path) -> None:
    of_attempts = {"exp/train.log", "exp/tensorboard/events.out.tfevents", "exp/greedy/unseen/timing.json"}
    assert read_tree(left).keys() - products(left).keys() == of_attempts

"""The infer stage with a model that echoes: what it writes, what it keeps, what it refuses."""

import json
import logging
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.components.data.scp import read_scp
from espnet3.errors import ConfigError, DataError, TryAgain
from espnet3.pipeline.fingerprint import StageRun, running, stage_inputs
from espnet3.pipeline.shard import Shard, sharding
from espnet3.systems.base.inference import PLACES, infer

ROOT = Path(__file__).parents[3]
RATE = 8000
ECHO = "tests.systems.base.echo.Echo"

Config = dict[str, Any]


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """Two test sets, of 7 utterances and of 1."""
    monkeypatch.chdir(tmp_path)
    sets = {"unseen": 7, "noisy": 1}
    for name, count in sets.items():
        write_manifest(tmp_path / f"{name}.jsonl", [utterance(tmp_path, name, number) for number in range(count)])
    return {
        "exp_dir": "exp",
        "inference_dir": "exp/greedy",
        "dataset": {"test": [reference(name) for name in sets]},
        "model": {"_target_": ECHO},
        "batch_seconds": 1.0,
        "num_threads": 1,
    }


def reference(name: str) -> Config:
    return {"name": name, "data_src": "tests.systems.base.manifests", "data_src_args": {"manifest": f"{name}.jsonl"}}


def utterance(folder: Path, name: str, number: int) -> Utterance:
    seconds = 0.1 + 0.05 * (number * 5 % 7)
    path = folder / f"{name}-{number}.wav"
    soundfile.write(path, np.full(int(seconds * RATE), 0.5, dtype=np.float32), RATE)
    utt_id = f"{name}-{9 - number}"
    return Utterance(utt_id, path.name, 0.0, seconds, RATE, f"TEXT {number}" if number else "", "anna", "")


def outputs(folder: str = "exp/greedy") -> dict[str, bytes]:
    files = [file for file in Path(folder).rglob("*") if file.is_file() and file.name != "timing.json"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_each_test_set_gets_its_sorted_scp_and_timing(config: Config) -> None:
    infer(config)
    assert read_scp("exp/greedy/unseen/hyp.scp") == {f"unseen-{9 - n}": f"text {n}" if n else "" for n in range(7)}
    assert Path("exp/greedy/noisy/hyp.scp").read_bytes() == b"noisy-9 \n"
    assert sorted(outputs()) == ["noisy/hyp.scp", "unseen/hyp.scp"]
    timing = json.loads(Path("exp/greedy/unseen/timing.json").read_text())
    assert timing["utterances"] == 7
    assert timing["audio_seconds"] == pytest.approx(7 * 0.1 + 0.05 * 21)
    assert timing["real_time_factor"] == pytest.approx(timing["decode_seconds"] / timing["audio_seconds"])
    assert list(timing["latency_seconds"]) == ["p50", "p90", "p95", "p99"]
    assert (timing["device"], timing["threads"], timing["workers"]) == ("cpu", 1, 1)


@pytest.mark.parametrize(("shards", "workers"), [(1, 1), (3, 1), (20, 1), (3, 2)])
def test_the_files_do_not_depend_on_how_the_work_is_spread(config: Config, shards: int, workers: int) -> None:
    config |= {
        "output_keys": ["hyp", "peak", "audio"],
        "output_artifacts": {"audio": {"type": "npy"}},
        "parallel": {"shards": shards, "workers": workers},
    }
    infer(config)
    found = outputs()
    infer({**config, "inference_dir": "exp/again", "parallel": {"shards": 2, "workers": 1}})
    assert outputs("exp/again") == found
    assert len(found) == 3 + 3 + 8


def test_artifacts_are_files_that_the_scp_names(config: Config) -> None:
    infer(config | {"output_keys": ["audio"], "output_artifacts": {"audio": {"type": "wav", "sample_rate": RATE}}})
    paths = read_scp("exp/greedy/unseen/audio.scp")
    assert paths["unseen-9"] == "audio/unseen-9.wav"
    audio, rate = soundfile.read(Path("exp/greedy/unseen", paths["unseen-9"]))
    assert rate == RATE
    np.testing.assert_allclose(audio, 0.5, atol=1e-3)


def test_shards_leave_the_same_files_when_they_are_merged(config: Config) -> None:
    infer(config)
    alone = outputs()
    config = {**config, "inference_dir": "exp/parts", "parallel": {"workers": 2, "shards": 5}}
    for index in (1, 2):
        with sharding(Shard(3, index)):
            infer(config)
    with sharding(Shard(1)), pytest.raises(TryAgain, match=r"Of 3 shards .* exp/parts/\.unfinished: 0\. Run them"):
        infer(config)
    with sharding(Shard(3, 0)):
        infer(config)
    with sharding(Shard(1)):
        infer(config)
    assert outputs("exp/parts") == alone


def test_a_forced_merge_keeps_what_the_shards_have_done(config: Config) -> None:
    with running(StageRun(forced=True)):
        for index in (0, 1):
            with sharding(Shard(2, index)):
                infer(config)
        with sharding(Shard(2)):
            infer(config)
    assert Path("exp/greedy/unseen/hyp.scp").exists()


def test_what_a_killed_run_left_half_written_is_removed(config: Config) -> None:
    half = Path("exp/greedy/unseen/.hyp.scp.12.0123abcd.tmp")
    half.parent.mkdir(parents=True)
    half.write_text("unseen-3 TE")
    infer(config)
    assert not half.exists()


def test_outputs_that_are_no_longer_asked_for_go(config: Config) -> None:
    infer(config | {"output_keys": ["hyp", "audio"], "output_artifacts": {"audio": {"type": "npy"}}})
    infer(config)
    assert sorted(outputs()) == ["noisy/hyp.scp", "unseen/hyp.scp"]


def test_what_is_finished_is_kept_when_a_run_fails(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    broken = Path("unseen-3.wav")
    content = broken.read_bytes()
    broken.write_bytes(b"")
    config["batch_seconds"] = 0.01
    with pytest.raises(DataError, match="unseen-6"):
        infer(config)
    done = Path("diary").read_text().split()
    assert 0 < len(done) < 7
    broken.write_bytes(content)
    with caplog.at_level(logging.INFO):
        infer(config)
    assert f"{len(done)} of 7 batches are kept from before" in caplog.text
    assert len(Path("diary").read_text().split()) == 8
    assert not Path("exp/greedy/.unfinished").exists()


def rewrite(path: str, old: str, new: str) -> None:
    Path(path).write_text(Path(path).read_text().replace(old, new))


@pytest.mark.parametrize("change", ["weights", "manifest", "stage", "force", "nothing"])
def test_what_is_kept_of_another_model_or_config_is_not_used(config: Config, change: str) -> None:
    Path("exp").mkdir()
    Path("exp/averaged.safetensors").write_text("old")
    model = {"_target_": ECHO, "suffix": "", "weights": "averaged.safetensors"}
    config |= {"batch_seconds": 0.01, "model": model}
    Path("unseen-3.wav").rename("away")
    with pytest.raises(DataError, match=r"unseen-3\.wav"):
        infer(config)
    Path("away").rename("unseen-3.wav")
    kept = len(Path("diary").read_text().split())
    if change == "manifest":
        rewrite("unseen.jsonl", "TEXT", "WORD")
    if change == "weights":
        rewrite("exp/averaged.safetensors", "old", "new")
    if change == "stage":
        model["suffix"] = "!"
    inputs = stage_inputs(config, without=PLACES)
    with running(StageRun(inputs, forced=True)) if change == "force" else nullcontext():
        infer(config)
    assert len(Path("diary").read_text().split()) == 8 + (0 if change == "nothing" else kept)


def test_a_killed_run_goes_on_where_it_stopped(config: Config) -> None:
    config["batch_seconds"] = 0.01
    Path("config.json").write_text(json.dumps(config))
    script = (
        "import json, os, sys; from pathlib import Path\n"
        "from espnet3.systems.base import inference_provider as work\n"
        "record = work._Decoding.record\n"
        "def die(self, utt_id, output):\n"
        "    if len(Path('diary').read_text().split()) == 4: os.kill(os.getpid(), 9)\n"
        "    return record(self, utt_id, output)\n"
        "work._Decoding.record = die\n"
        "from espnet3.systems.base.inference import PLACES, infer\n"
        "infer(json.loads(Path('config.json').read_text()))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert process.returncode == -9
    infer(config)
    assert len(Path("diary").read_text().split()) == 8 + 1
    assert len(read_scp("exp/greedy/unseen/hyp.scp")) == 7


def test_the_stage_needs_no_torch(config: Config) -> None:
    Path("config.json").write_text(json.dumps(config))
    script = (
        "import json, sys; from pathlib import Path; from espnet3.systems.base.inference import PLACES, infer\n"
        "infer(json.loads(Path('config.json').read_text())); assert 'torch' not in sys.modules, 'torch'\n"
    )
    subprocess.run([sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"output_keys": []}, ConfigError, "output_keys must list names"),
        ({"output_keys": ["../hyp"]}, ConfigError, "output_keys must list names"),
        ({"output_keys": ["text"]}, ConfigError, "names text, but the model gives hyp, peak, audio, lines"),
        ({"output_keys": ["audio"]}, ConfigError, r"output_artifacts\.audio: \{type: npy\}"),
        ({"output_keys": ["lines"]}, DataError, "line break"),
        ({"output_artifacts": {"audio": {"type": "npy"}}}, ConfigError, "audio, which output_keys .hyp. lacks"),
        ({"output_artifacts": {"hyp": {"type": "zip"}}}, ConfigError, "npy, wav, json"),
        ({"model": {"_target_": ECHO, "fails_at": "unseen-5"}}, DataError, "^unseen-5: it is too loud"),
        ({"model": {"_target_": ECHO, "volume": 3}}, ConfigError, r"inference_config\.model.*volume"),
        ({"model": {"_target_": "tests.systems.base.echo.Ecco"}}, ConfigError, "Ecco"),
        ({"dataset": {"test": []}}, ConfigError, "dataset.test"),
        ({"dataset": {"test": [reference("noisy"), reference("noisy")]}}, ConfigError, "'noisy' is used 2 times"),
        ({"dataset": {"test": [reference("nowhere")]}}, DataError, "nowhere.jsonl"),
        ({"batch_seconds": -1}, ConfigError, r"inference_config\.batch_seconds"),
    ],
)
def test_what_is_wrong_is_named(config: Config, change: Config, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        infer(config | change)
    assert not Path("exp/greedy/unseen/hyp.scp").exists()


@pytest.mark.parametrize(
    ("content", "message"), [("", "unseen has no utterances"), (None, "unseen has unseen-9 more than once")]
)
def test_a_test_set_has_utterances_and_each_once(config: Config, content: str | None, message: str) -> None:
    manifest = Path("unseen.jsonl")
    manifest.write_text(content if content is not None else manifest.read_text().splitlines(True)[0] * 2)
    with pytest.raises(DataError, match=message):
        infer(config)

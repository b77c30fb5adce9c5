"""collect_stats on small corpora: right numbers, the same bytes for any number of workers, nothing half written."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from espnet3.components.data.audio import resample, whole_file
from espnet3.components.data.features import LogMel
from espnet3.components.data.manifest import Utterance, write_manifest
from espnet3.components.data.stats import LEAST_STD, Moments, load_stats, stats_file
from espnet3.errors import ConfigError, DataError, LostLease, TryAgain
from espnet3.parallel.sharded import leased_partials
from espnet3.pipeline.shard import Shard, sharding
from espnet3.runtime.files import write_text
from espnet3.systems.base.collect_stats import collect_stats
from espnet3.systems.base.products import stats_key

FILES = [
    "durations.svg",
    "summary.json",
    "summary.md",
    "train/feats_shape",
    "train/feats_stats.npz",
    "valid/feats_shape",
]


def make_corpus(folder: Path, utterances: int = 70, rate: int = 16000) -> dict[str, Any]:
    """A recipe with random noise as speech; the config of its training."""
    rng = np.random.default_rng(0)
    (folder / "dataset").mkdir(parents=True)
    code = "from espnet3.components.data.dataset import ManifestDataset as Dataset\n"
    (folder / "dataset/__init__.py").write_text(code, encoding="utf-8")

    def record(utt_id: str, text: str) -> Utterance:
        path = folder / f"{utt_id}.wav"
        soundfile.write(path, 0.1 * rng.standard_normal(int(rng.uniform(0.1, 0.3) * rate)), rate)
        return whole_file(utt_id, path, folder, text, f"speaker{len(text) % 3}")

    write_manifest(folder / "train.jsonl", [record(f"t{i:03}", f"ein Wort Nr {i % 7}") for i in range(utterances)])
    write_manifest(folder / "valid.jsonl", [record(f"v{i:03}", "schön") for i in range(5)])
    return {
        "data_dir": str(folder),
        "recipe_dir": str(folder),
        "stats_dir": str(folder / "stats"),
        "dataset": {s: [{"data_src_args": {"manifest": str(folder / f"{s}.jsonl")}}] for s in ("train", "valid")},
        "features": {"_target_": "espnet3.components.data.features.LogMel", "sample_rate": rate, "n_mels": 20},
    }


@pytest.fixture
def config(tmp_path: Path) -> dict[str, Any]:
    return make_corpus(tmp_path / "recipe")


def audio_of(config: dict[str, Any], split: str) -> list[NDArray[np.float32]]:
    names = sorted(Path(config["data_dir"]).glob(f"{split[0]}*.wav"))
    return [soundfile.read(name, dtype="float32")[0] for name in names]


def folder_of(config: dict[str, Any]) -> Path:
    return Path(config["stats_dir"]) / stats_key(config)


def contents(config: dict[str, Any]) -> dict[str, bytes]:
    root = folder_of(config)
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def test_statistics_are_those_of_all_training_frames(config: dict[str, Any]) -> None:
    collect_stats(config)
    features = LogMel(sample_rate=16000, n_mels=20)
    frames = np.concatenate([features(audio) for audio in audio_of(config, "train")]).astype(np.float64)
    stats = load_stats(folder_of(config))
    np.testing.assert_allclose(stats.mean, frames.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(stats.std, frames.std(axis=0), rtol=1e-5)
    assert stats.mean.dtype == stats.std.dtype == np.float32


def test_shapes_are_in_the_order_of_the_manifest(config: dict[str, Any]) -> None:
    collect_stats(config)
    features = LogMel(sample_rate=16000, n_mels=20)
    for split in ("train", "valid"):
        lines = (folder_of(config) / split / "feats_shape").read_text(encoding="utf-8").splitlines()
        expected = [f"{split[0]}{i:03} {len(features(x))},20" for i, x in enumerate(audio_of(config, split))]
        assert lines == expected


def test_any_number_of_workers_leaves_the_same_bytes(config: dict[str, Any], tmp_path: Path) -> None:
    collect_stats(config)
    alone = contents(config)
    assert sorted(alone) == FILES
    for workers in (2, 3):
        many = {**config, "stats_dir": str(tmp_path / f"stats{workers}"), "num_workers": workers}
        collect_stats(many)
        assert contents(many) == alone


def test_the_archive_holds_no_time(config: dict[str, Any]) -> None:
    collect_stats(config)
    with zipfile.ZipFile(folder_of(config) / "train/feats_stats.npz") as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def test_audio_at_another_rate_is_resampled(config: dict[str, Any]) -> None:
    config["features"]["sample_rate"] = 8000
    collect_stats(config)
    features = LogMel(sample_rate=8000, n_mels=20)
    frames = np.concatenate([features(resample(audio, 16000, 8000)) for audio in audio_of(config, "train")])
    np.testing.assert_allclose(load_stats(folder_of(config)).mean, frames.mean(axis=0), rtol=1e-5)


def test_the_summary_counts_what_is_there(config: dict[str, Any]) -> None:
    collect_stats(config)
    root = folder_of(config)
    train, valid = json.loads((root / "summary.json").read_text(encoding="utf-8")).values()
    seconds = [len(audio) / 16000 for audio in audio_of(config, "train")]
    assert train["utterances"] == 70
    assert train["hours"] == round(sum(seconds) / 3600, 4)
    assert train["speakers"] == 1
    assert train["words"] == 4 * 70
    assert train["word_types"] == 3 + 7
    assert train["characters"] == len(set("einWortNr0123456"))
    assert train["sample_rates"] == [16000]
    assert train["seconds"]["50"] == round(float(np.median(seconds)), 3)
    assert (valid["utterances"], valid["word_types"], valid["characters"]) == (5, 1, 5)
    table = (root / "summary.md").read_text(encoding="utf-8")
    assert "| | train | valid |" in table
    assert "| utterances | 70 | 5 |" in table
    ET.fromstring((root / "durations.svg").read_text(encoding="utf-8"))


def test_nothing_of_torch_is_loaded(config: dict[str, Any]) -> None:
    code = f"import sys; from espnet3.systems.base.collect_stats import collect_stats; collect_stats({config!r}); "
    subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_file_is_named_and_nothing_is_written(config: dict[str, Any], workers: int) -> None:
    (Path(config["data_dir"]) / "t040.wav").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"t040\.wav"):
        collect_stats({**config, "num_workers": workers})
    assert [name for name in contents(config) if not name.startswith(".unfinished/")] == []


def test_an_empty_split_is_refused(config: dict[str, Any]) -> None:
    (Path(config["data_dir"]) / "valid.jsonl").write_bytes(b"")
    with pytest.raises(DataError, match=r"training_config\.dataset\.valid holds no utterance"):
        collect_stats(config)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"features": {"_target_": "nowhere.Features"}}, r"training_config\.features", id="target"),
        pytest.param({"num_workers": 0}, r"training_config\.num_workers", id="workers"),
        pytest.param({"dataset": {"train": [], "valid": []}}, r"dataset\.train is empty", id="no dataset"),
    ],
)
def test_a_wrong_config_is_refused(config: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        collect_stats({**config, **change})


def test_shards_in_any_order_and_their_merge_leave_the_same_bytes(config: dict[str, Any], tmp_path: Path) -> None:
    collect_stats(config)
    parts = {**config, "stats_dir": str(tmp_path / "parts")}
    for index in (2, 0):
        with sharding(Shard(3, index)):
            collect_stats(parts)
    with sharding(Shard(1)), pytest.raises(TryAgain, match=r"Of 3 shards \(counted from 0\), .*: 1\. Run them"):
        collect_stats(parts)
    assert not (folder_of(parts) / "train").exists()
    with sharding(Shard(3, 1)):
        collect_stats(parts)
    with sharding(Shard(3)):
        collect_stats(parts)
    assert contents(parts) == contents(config)


def test_a_shard_that_wakes_up_after_the_merge_changes_nothing(config: dict[str, Any]) -> None:
    pieces = folder_of(config) / ".unfinished"
    merge = (
        "from espnet3.systems.base.collect_stats import collect_stats\n"
        "from espnet3.pipeline.shard import Shard, sharding\n"
        f"with sharding(Shard(1)): collect_stats({config!r})\n"
    )
    with sharding(Shard(1, 0)):
        collect_stats(config)
        with leased_partials(folder_of(config)):
            subprocess.run([sys.executable, "-c", merge], check=True)
            with pytest.raises(LostLease):
                write_text(pieces / "late", "")
    assert sorted(contents(config)) == FILES


def test_statistics_of_other_data_are_not_mixed_in(config: dict[str, Any]) -> None:
    with sharding(Shard(2, 0)):
        collect_stats(config)
    manifest = Path(config["data_dir"]) / "train.jsonl"
    manifest.write_text("".join(manifest.read_text(encoding="utf-8").splitlines(keepends=True)[:40]), encoding="utf-8")
    with sharding(Shard(2, 1)):
        collect_stats(config)
    with sharding(Shard(2)), pytest.raises(TryAgain, match=r": 0\. Run them"):
        collect_stats(config)


def test_killed_and_run_again_it_leaves_the_right_files(tmp_path: Path) -> None:
    config = make_corpus(tmp_path / "recipe", utterances=600)
    code = f"from espnet3.systems.base.collect_stats import collect_stats; collect_stats({config!r})"
    begun = folder_of(config) / ".lease"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not begun.exists() and process.poll() is None:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    collect_stats(config)
    again = contents(config)
    other = {**config, "stats_dir": str(tmp_path / "other")}
    collect_stats(other)
    assert again == contents(other)


def test_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    config = make_corpus(tmp_path / "recipe", utterances=600)
    config["num_workers"] = 2
    (tmp_path / "run.py").write_text(
        "from espnet3.systems.base.collect_stats import collect_stats\n"
        f"if __name__ == '__main__':\n    collect_stats({config!r})\n",
        encoding="utf-8",
    )
    process = subprocess.Popen([sys.executable, "run.py"], cwd=tmp_path)
    while len(workers := descendants(process.pid)) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))


def descendants(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in tasks.read_text(encoding="ascii").split()] if tasks.exists() else []


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


def test_missing_statistics_name_the_stage(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run collect_stats"):
        load_stats(tmp_path)


@pytest.mark.parametrize("cut", [0, 10, 300])
def test_damaged_statistics_are_refused(cut: int, config: dict[str, Any]) -> None:
    collect_stats(config)
    path = folder_of(config) / "train/feats_stats.npz"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"cannot be read .* run collect_stats"):
        load_stats(folder_of(config))


def test_statistics_of_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    np.savez(tmp_path / "train/feats_stats.npz", count=np.array(0.0), sum=np.zeros(3), sum_square=np.zeros(3))
    with pytest.raises(DataError, match="are not sums over frames"):
        load_stats(tmp_path)


def test_a_constant_feature_has_a_small_deviation(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    np.savez(tmp_path / "train/feats_stats.npz", count=np.array(4.0), sum=np.full(2, 8.0), sum_square=np.full(2, 16.0))
    np.testing.assert_array_equal(load_stats(tmp_path).std, np.float32(LEAST_STD))


def test_other_features_or_data_have_statistics_of_their_own(config: dict[str, Any]) -> None:
    collect_stats(config)
    alone = contents(config)
    other = {**config, "features": {**config["features"], "n_mels": 10}}
    collect_stats(other)
    assert folder_of(other) != folder_of(config)
    assert contents(config) == alone
    manifest = Path(config["data_dir"]) / "train.jsonl"
    before = folder_of(config)
    manifest.write_text("".join(manifest.read_text(encoding="utf-8").splitlines(keepends=True)[:40]), encoding="utf-8")
    assert folder_of(config) != before


@pytest.mark.parametrize(("made_of", "fits"), [("a" * 12, True), ("b" * 12, False), ("", True)])
def test_statistics_say_what_they_are_of(tmp_path: Path, made_of: str, fits: bool) -> None:
    moments = Moments(3)
    moments.add(np.ones((5, 3), np.float32))
    moments.write(stats_file(tmp_path), made_of)
    if fits:
        assert len(load_stats(tmp_path, "a" * 12).mean) == 3
    else:
        with pytest.raises(DataError, match=r"made with other features or data \(b+, not a+\)"):
            load_stats(tmp_path, "a" * 12)

"""What a stage depends on, and how a difference is told."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from espnet3.pipeline import folders
from espnet3.pipeline.code import Code
from espnet3.pipeline.difference import differences
from espnet3.pipeline.fingerprint import (
    FingerprintInputs,
    StageRun,
    config_inputs,
    current_run,
    forced,
    inputs_of,
    running,
    stage_inputs,
)
from espnet3.pipeline.plan import decide
from espnet3.pipeline.settings import FileInput, fingerprint_of
from espnet3.runtime.temporaries import temporary_path
from espnet3.systems.asr.system import ASRSystem

TRAINING: dict[str, Any] = {
    "exp_dir": "exp",
    "data_dir": "data",
    "dataset": {
        "train": [{"data_src_args": {"manifest": "data/train.jsonl"}}],
        "test": [{"name": "t", "data_src": "a/asr"}, {"name": "u"}],
    },
    "create_dataset": {"seed": 1},
    "tokenizer": {"path": "t.json"},
    "own": {"deep": [1, {"x": 2}]},
    "num_workers": 4,
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text)


def inputs(
    stage: str, training: Any = TRAINING, earlier: FingerprintInputs | None = None, **slots: Any
) -> FingerprintInputs:
    return inputs_of(ASRSystem(training_config=training, **slots), stage, Code(Path(), {}), earlier)


def test_is_a_hash_of_the_values_whatever_their_order() -> None:
    one, other = {"a": 1, "b": {"c": [1, 2]}}, {"b": {"c": [1, 2]}, "a": 1}
    assert fingerprint_of(one) == fingerprint_of(OmegaConf.create(other))
    assert len(fingerprint_of(one)) == 64
    assert fingerprint_of(one) != fingerprint_of({"a": 1, "b": {"c": [2, 1]}})


def test_training_reads_keys_of_a_users_own_but_no_cosmetic_ones() -> None:
    assert {key.partition(".")[2] for key in inputs("train").settings} == {
        "dataset.train.0.data_src_args.manifest",
        "own.deep.0",
        "own.deep.1.x",
    }


def test_data_depend_on_the_sources_of_test_sets_only() -> None:
    assert inputs("create_dataset").settings["training_config.dataset.test.*.data_src"] == ["a/asr"]
    more = {**TRAINING, "dataset": {**TRAINING["dataset"], "test": [{"name": "other", "data_src": "a/asr"}]}}
    assert inputs("create_dataset", more).fingerprint == inputs("create_dataset").fingerprint


def test_what_a_record_gives_back_is_the_same() -> None:
    write("t.json", "{}")
    before = inputs("train", {**TRAINING, "own": [1.5, None, {"ä": "b"}]})
    assert FingerprintInputs.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_an_empty_part_is_none() -> None:
    assert inputs("train", {**TRAINING, "augment": [], "model": {}}) == inputs("train")


def test_the_language_by_which_scores_fold_case_redoes_no_training() -> None:
    assert inputs("train", {**TRAINING, "language": "tr"}) == inputs("train")


def test_a_file_counts_by_what_is_in_it() -> None:
    write("i.bin", "a")
    training = {**TRAINING, "init_param": {"file": "i.bin"}}
    before = inputs("train", training)
    assert before.contents["training_config.init_param.file"].path == "i.bin"
    assert "training_config.init_param.file" not in before.settings
    Path("i.bin").rename("moved.bin")
    moved = {**TRAINING, "init_param": {"file": "moved.bin"}}
    assert inputs("train", moved).fingerprint == before.fingerprint
    write("moved.bin", "b")
    assert inputs("train", moved).fingerprint != before.fingerprint


@pytest.mark.parametrize("depth", ["files", "deep"])
def test_files_are_found_in_lists(depth: str) -> None:
    write("noise/a.wav", "a")
    files = ["noise/a.wav", "noise/gone.wav"]
    augment = [{"_target_": "a.B", "files": files if depth == "files" else [{"path": file} for file in files]}]
    found = inputs("train", {**TRAINING, "augment": augment})
    (role,) = [role for role in found.contents if "augment" in role]
    assert found.contents[role].path == "noise/a.wav"
    assert "noise/gone.wav" in str(found.settings)


def test_what_a_stage_writes_is_none_of_its_inputs() -> None:
    write("data/train.jsonl", "{}")
    assert not inputs("create_dataset").contents
    assert inputs("create_dataset").settings["training_config.dataset.train.0.data_src_args.manifest"]
    assert "training_config.dataset.train.0.data_src_args.manifest" in inputs("train").contents


SOURCE: dict[str, Any] = {**TRAINING, "create_dataset": {"corpus": "kaldi/train"}}
FOLDER_CHANGES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "nothing": (lambda folder: None, []),
    "an edited file": (lambda folder: (folder / "text").write_text("a c"), ["kaldi/train/text changed"]),
    "a new file": (lambda folder: (folder / "utt2spk").write_text(""), ["kaldi/train/utt2spk is new"]),
    "a file that is gone": (lambda folder: (folder / "conf/rate").unlink(), ["kaldi/train/conf/rate is gone"]),
    "touched": (lambda folder: os.utime(folder / "text", ns=(1, 1)), []),
    "what Python compiled": (lambda folder: write("kaldi/train/__pycache__/a.pyc", ""), []),
    "a temporary file": (lambda folder: temporary_path(folder / "text").write_text(""), []),
    "all gone, as what was extracted may be": (shutil.rmtree, []),
}


@pytest.mark.parametrize("case", FOLDER_CHANGES)
def test_a_folder_counts_by_what_is_in_it(case: str) -> None:
    write("kaldi/train/text", "a b")
    write("kaldi/train/conf/rate", "16000")
    before = inputs("create_dataset", SOURCE)
    change, expected = FOLDER_CHANGES[case]
    change(Path("kaldi/train"))
    found = differences(before, inputs("create_dataset", SOURCE, earlier=before))
    assert [line.partition(" (")[0] for line in found] == expected


def test_a_moved_folder_with_equal_contents_is_equal() -> None:
    write("kaldi/train/text", "a b")
    before = inputs("create_dataset", SOURCE)
    Path("kaldi").rename("moved")
    moved = {**TRAINING, "create_dataset": {"corpus": "moved/train"}}
    assert inputs("create_dataset", moved, earlier=before).fingerprint == before.fingerprint


@pytest.mark.parametrize("folder", ["data", "data/extracted", "exp", ".", "..", "/", "exp/../exp"])
def test_folders_of_products_do_not_count(folder: str, here: Path) -> None:
    for name in ("data/extracted/a", "data/train.jsonl", "exp/train.log"):
        write(name, "1")
    training = {**TRAINING, "create_dataset": {"here": folder}}
    before = inputs("create_dataset", training)
    for name in ("data/extracted/b", "exp/checkpoints/last.ckpt"):
        write(name, "2")
    assert inputs("create_dataset", training) == before
    assert not before.contents


@pytest.mark.parametrize("key", ["cache_dir", "hub_cache", "tmp", "work_dir", "download_dir", "output_dir", "logs"])
def test_folders_that_stages_write_to_do_not_count(key: str) -> None:
    training = {**TRAINING, "create_dataset": {key: "./beside"}}
    before = inputs("create_dataset", training)
    write("beside/a", "1")
    assert inputs("create_dataset", training) == before


def test_by_hand_neither_do_those_that_the_config_calls_directories() -> None:
    config = DictConfig({"inference_dir": "out", "model": {"exp_dir": "exp/x", "prompts": "./prompts"}, "notes": "exp"})
    for name in ("out/hyp.scp", "exp/x/last.ckpt", "prompts/a.txt"):
        write(name, "1")
    before = stage_inputs(config)
    for name in ("out/ref.scp", "exp/x/more.ckpt"):
        write(name, "2")
    assert stage_inputs(config) == before
    write("prompts/a.txt", "2")
    assert stage_inputs(config) != before


@pytest.mark.parametrize("limit", ["MOST_FILES", "MOST_BYTES"])
def test_a_folder_that_is_too_large_is_told(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write("kaldi/train/text", "a b")
    write("kaldi/train/wav.scp", "a b")
    monkeypatch.setattr(folders, limit, 1)
    system = ASRSystem(training_config=SOURCE)
    assert inputs("create_dataset", SOURCE).settings["training_config.create_dataset.corpus"] == "kaldi/train"
    (note,) = decide(system, Code(Path(), {}), "create_dataset").notes
    assert note.startswith(
        "create_dataset: training_config.create_dataset.corpus: changes in kaldi/train are not noticed"
    )


def test_a_file_that_is_gone_counts_as_it_was() -> None:
    write("corpus.tar", "a")
    training = {**TRAINING, "create_dataset": {"archive": "corpus.tar"}}
    before = inputs("create_dataset", training)
    Path("corpus.tar").unlink()
    assert inputs("create_dataset", training, earlier=before).fingerprint == before.fingerprint
    other = {**TRAINING, "create_dataset": {"archive": "other.tar"}}
    assert inputs("create_dataset", other, earlier=before).fingerprint != before.fingerprint


def test_of_a_trained_model_each_file_counts_and_the_code_that_it_names() -> None:
    target = "espnet3.systems.asr.models.bilstm.BiLSTMCTC"
    for name, text in {
        "config.yaml": f"model: {{_target_: {target}}}",
        "averaged.safetensors": "w",
        "a.log": "",
    }.items():
        write(f"exp/{name}", text)
    inference = {"exp_dir": "exp", "inference_dir": "exp/greedy", "dataset": {"test": []}}
    before = inputs("infer", inference_config=inference)
    roles = {"inference_config.exp_dir/config.yaml", "inference_config.exp_dir/averaged.safetensors"}
    assert {*before.contents} == roles
    assert target in before.code
    write("exp/a.log", "more")
    write("exp/greedy/test/hyp.scp", "a b")
    assert inputs("infer", inference_config=inference) == before
    write("exp/averaged.safetensors", "v")
    assert differences(before, inputs("infer", inference_config=inference)) == [
        f"exp/averaged.safetensors changed (sha256 {DIGESTS['w'][:8]}… → {DIGESTS['v'][:8]}…)"
    ]


DIGESTS = {
    "w": "50e721e49c013f00c62cf59f2163542a9d8df02464efeb615d31051b0fddc326",
    "v": "4c94485e0c21ae6c41ce1dfe7b6bfaceea5ab68e40a2476f50208e526f506080",
}


def test_a_stage_sees_what_it_runs_under() -> None:
    assert (current_run(), forced()) == (None, False)
    run = StageRun(FingerprintInputs({"a": 1}), forced=True)
    with running(run):
        assert (current_run(), forced()) == (run, True)
        assert stage_inputs({"b": 2}) == run.inputs
    with running(StageRun(now=lambda: FingerprintInputs({"a": 2}))):
        assert stage_inputs({}).settings == {"a": 2}
    assert (current_run(), forced()) == (None, False)


def test_a_system_used_by_hand_depends_on_its_config_and_the_files_that_it_names() -> None:
    config = DictConfig({"a": {"b": 1}, "parallel": {"shards": 2}, "lm": "lm.arpa"})
    assert stage_inputs(config) == config_inputs({"a": {"b": 1}, "parallel": {"shards": 3}, "lm": "lm.arpa"})
    assert stage_inputs(config, without=("a",)).settings == {"lm": "lm.arpa"}
    before = stage_inputs(config).fingerprint
    write("lm.arpa", "1")
    there = stage_inputs(config).fingerprint
    write("lm.arpa", "2")
    assert len({before, there, stage_inputs(config).fingerprint}) == 3


def file(path: str, digest: str, size: int = 1) -> FileInput:
    return FileInput(path, digest * 64, size)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            FingerprintInputs({"training_config.a.b": 1}),
            FingerprintInputs({"training_config.a.b": "x"}),
            'a.b: 1 → "x"',
        ),
        (FingerprintInputs(), FingerprintInputs({"inference_config.a": None}), "a: (not set) → null"),
        (FingerprintInputs({"a": [1]}), FingerprintInputs(), "a: [1] → (not set)"),
        (
            FingerprintInputs({}, {"lm": file("a.arpa", "0")}),
            FingerprintInputs({}, {"lm": file("a.arpa", "1")}),
            "a.arpa changed (sha256 00000000… → 11111111…)",
        ),
        (
            FingerprintInputs({}, {"lm": file("a.arpa", "0", 1234)}),
            FingerprintInputs({}, {"lm": file("b.arpa", "1", 5)}),
            "a.arpa → b.arpa changed (1,234 → 5 bytes)",
        ),
        (FingerprintInputs({"lm": "a.arpa"}), FingerprintInputs({}, {"lm": file("a.arpa", "0")}), "a.arpa is new"),
        (FingerprintInputs({}, {"lm": file("a.arpa", "0")}), FingerprintInputs({"lm": "a.arpa"}), "a.arpa is gone"),
        (FingerprintInputs({}, {}, {"src.a.B": "0"}), FingerprintInputs({}, {}, {"src.a.B": "1"}), "src.a.B changed"),
        (FingerprintInputs(), FingerprintInputs({}, {}, {"src.a.B": "1"}), "src.a.B is new"),
    ],
    ids=["changed", "new", "gone", "content", "moved and changed", "new file", "file gone", "code", "new code"],
)
def test_differences_are_told_one_by_one(old: FingerprintInputs, new: FingerprintInputs, line: str) -> None:
    assert differences(old, new) == [line]

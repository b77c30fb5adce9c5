import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from espnet3.components.data.audio_changes import AudioLook, find_replaced
from espnet3.components.data.audio_index import AudioIndex, Entry
from espnet3.components.data.manifest import Manifest
from espnet3.errors import ConfigError, DataError
from espnet3.pipeline.fingerprint import StageRun, running
from espnet3.systems.base.create_dataset import create_dataset
from tests.components.data.corpus import record, write_audio
from tests.systems.base.building import BUILDER, ENVIRONMENT, Recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    return Recipe(tmp_path)


def test_builds_checks_and_says_what_there_is(recipe: Recipe, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    create_dataset(recipe.config())
    assert [utterance.text for utterance in Manifest(recipe.data / "train.jsonl")] == ["train ONE", "train TWO"]
    assert "train: 2 utterances, 0.00 hours, 1 speakers" in caplog.messages
    assert "test set plain: 2 utterances, 0.00 hours, 1 speakers" in caplog.messages
    assert recipe.leftovers() == []


def test_a_second_run_builds_nothing_and_changes_nothing(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    before = {path: path.stat().st_mtime_ns for path in recipe.data.rglob("*") if path.is_file()}
    create_dataset(recipe.config())
    assert {path: path.stat().st_mtime_ns for path in recipe.data.rglob("*") if path.is_file()} == before
    assert recipe.builds == 1


def test_other_arguments_build_again(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    create_dataset(recipe.config(texts=["THREE"]))
    assert [utterance.text for utterance in Manifest(recipe.data / "train.jsonl")] == ["train THREE"]
    assert recipe.builds == 2


def test_other_code_builds_again(recipe: Recipe, tmp_path: Path) -> None:
    create_dataset(recipe.config())
    (recipe.folder / "dataset/extra.py").write_text("")
    create_dataset(recipe.config())
    assert recipe.builds == 2


@pytest.mark.parametrize(
    ("change", "builds"),
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes() + b"\0\0"), 2, id="edited"),
        pytest.param(lambda path: os.utime(path, (1, 1)), 1, id="only touched"),
        pytest.param(lambda path: path.unlink(), 1, id="removed"),
    ],
)
def test_a_file_that_the_arguments_name_builds_again_when_edited(
    recipe: Recipe, change: Callable[[Path], object], builds: int
) -> None:
    create_dataset(recipe.config())
    change(Path(recipe.config()["create_dataset"]["source"]))
    create_dataset(recipe.config())
    assert recipe.builds == builds
    create_dataset(recipe.config())
    assert recipe.builds == builds


def test_a_forced_stage_builds_again(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    with running(StageRun(forced=True)):
        create_dataset(recipe.config())
    assert recipe.builds == 2


def test_manifests_put_there_by_hand_are_kept(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    (recipe.data / ".built.json").unlink()
    create_dataset(recipe.config())
    assert recipe.builds == 1


def test_found_data_is_compared_to_its_checksums(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    write_audio(recipe.data / "audio/a.wav", 1.0, channels=2)
    with pytest.raises(DataError, match=r"train\.jsonl:1: audio/a\.wav has another checksum"):
        create_dataset(recipe.config())


def test_how_the_audio_was_is_kept_beside_each_manifest(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    for split in ("train", "test"):
        index = AudioIndex(recipe.data / f"{split}.jsonl")
        status = (recipe.data / "audio/a.wav").stat()
        checksum = Manifest(recipe.data / f"{split}.jsonl")[0].checksum
        expected = Entry("audio/a.wav", status.st_size, status.st_mtime_ns, checksum)
        assert list(index.entries()) == [(expected, 2)]
        assert find_replaced(recipe.data / f"{split}.jsonl") == AudioLook(looked=1)


def test_a_touched_recording_is_put_down_as_it_is(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    os.utime(recipe.data / "audio/a.wav", (1, 1))
    create_dataset(recipe.config())
    entry = AudioIndex(recipe.data / "train.jsonl").find("audio/a.wav")
    assert entry is not None
    assert entry.mtime_ns == 10**9
    assert recipe.builds == 1


def test_what_is_as_it_was_is_not_read_again(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    before = (recipe.data / "audio/a.wav").stat()
    write_other(recipe.data / "audio/a.wav", before.st_mtime_ns)
    create_dataset(recipe.config())  # only a digest could tell
    assert len(find_replaced(recipe.data / "train.jsonl", verify=True).replaced) == 1
    with pytest.raises(DataError, match=r"train\.jsonl:1: audio/a\.wav has another checksum"):
        create_dataset(recipe.config())


def write_other(path: Path, mtime_ns: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-2] + bytes([content[-2] ^ 1, content[-1]]))
    os.utime(path, ns=(mtime_ns, mtime_ns))


def test_a_checksum_that_the_builder_made_up_is_found_at_once(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, BUILDER.replace("[whole_file(", "[made_up(") + MADE_UP)
    with pytest.raises(DataError, match=r"train\.jsonl:2: audio/a\.wav has another checksum.* --force"):
        create_dataset(recipe.config())
    assert not (recipe.data / ".train.jsonl.audio").exists()


MADE_UP = """

def made_up(*arguments):
    from dataclasses import replace
    return replace(whole_file(*arguments), checksum="sha256:" + 64 * "0")
"""


def test_a_recording_that_was_replaced_on_purpose_is_taken_with_force(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    write_audio(recipe.data / "audio/a.wav", 1.0, channels=2)
    with running(StageRun(forced=True)):
        create_dataset(recipe.config())
    assert find_replaced(recipe.data / "train.jsonl") == AudioLook(looked=1)


CONFIG_FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": (
        {"speakers": 3},
        r"training_config\.create_dataset\.speakers is unknown; accepted are: seed, source, texts",
    ),
    "near miss": ({"sources": 3}, r"sources is unknown \(did you mean source\?\)"),
    "own key": ({"data_dir": "x"}, r"create_dataset\.data_dir is unknown"),
    "wrong type": ({"seed": "many"}, r"create_dataset\.seed: needs a whole number, and 'many' is text\."),
    "wrong list": ({"texts": 3}, r"create_dataset\.texts: needs a list, and 3 is a number"),
}


@pytest.mark.parametrize(("fields", "expected"), CONFIG_FAULTS.values(), ids=CONFIG_FAULTS)
def test_faulty_arguments_are_named(recipe: Recipe, fields: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        create_dataset(recipe.config(**fields))
    assert not recipe.data.exists()


def test_missing_arguments_are_named(recipe: Recipe) -> None:
    config = recipe.config() | {"create_dataset": {}}
    with pytest.raises(ConfigError, match=r"create_dataset\.source is missing; accepted are: seed, source, texts"):
        create_dataset(config)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"dataset": {}}, r"training_config\.dataset names no dataset"),
        ({"dataset": {"test": [{}]}}, r"training_config\.dataset\.test\.0\.name is missing"),
        (
            {"dataset": {"train": [{"data_src": "no/such"}]}},
            r"training_config\.dataset\.train\.0\.data_src: there is no",
        ),
        ({"data_dir": None}, r"training_config\.data_dir: "),
    ],
    ids=["no dataset", "no name", "no module", "no data_dir"],
)
def test_a_faulty_config_is_named(recipe: Recipe, changes: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        create_dataset(recipe.config() | changes)


def test_a_module_without_builder_is_named(tmp_path: Path) -> None:
    recipe = Recipe(tmp_path, "from espnet3.components.data.dataset import ManifestDataset as Dataset\n")
    with pytest.raises(ConfigError, match=r"dataset module dataset .* must export DatasetBuilder"):
        create_dataset(recipe.config())


@pytest.mark.parametrize("step", ["prepare_source", "build"])
def test_a_builder_that_does_nothing_is_caught(tmp_path: Path, step: str) -> None:
    recipe = Recipe(tmp_path, BUILDER + f"\n    def {step}(self):\n        pass\n")
    with pytest.raises(DataError, match=f"DatasetBuilder.{step} ended, but is_.* still says no"):
        create_dataset(recipe.config())


def test_every_problem_of_every_manifest_is_raised_at_once(recipe: Recipe) -> None:
    with pytest.raises(DataError) as caught:
        create_dataset(recipe.config(texts=["ONE", "", "A\nB"]))
    message = str(caught.value)
    assert message.startswith("The data has 2 problems:\n"), message
    for split in ("train", "test"):
        assert f"{split}.jsonl:3: text holds a line break" in message


def test_many_problems_are_kept_in_a_file(recipe: Recipe) -> None:
    with pytest.raises(
        DataError, match=r"has 80 problems:\n(.*\n){50}\.\.\. and 30 more\. All of them are in .*problems\.txt"
    ):
        create_dataset(recipe.config(texts=["A\nB"] * 40))
    assert len((recipe.data / "problems.txt").read_text().splitlines()) == 80
    create_dataset(recipe.config(texts=["AB"]))
    assert not (recipe.data / "problems.txt").exists()


FAULTY = BUILDER.replace(
    "        path = self.data_dir",
    "        with Faults() as faults:\n"
    "            for number in range(int(self.texts[0])):\n"
    "                faults.add(f'corpus.tsv:{number}: is wrong.')\n"
    "        path = self.data_dir",
).replace("from espnet3.runtime", "from espnet3.components.data.faults import Faults\nfrom espnet3.runtime")


@pytest.mark.parametrize(
    ("count", "where"), [(1, ""), (60, " All of them are in "), (10_001, " The first 10000 are in ")]
)
def test_what_a_builder_found_is_told_at_once_and_kept(tmp_path: Path, count: int, where: str) -> None:
    recipe = Recipe(tmp_path, FAULTY)
    with pytest.raises(DataError) as caught:
        create_dataset(recipe.config(texts=[str(count)]))
    assert str(caught.value).startswith(f"The data has {count} problem")
    assert "\ncorpus.tsv:0: is wrong." in str(caught.value)
    assert where in str(caught.value)
    kept = recipe.data / "problems.txt"
    assert len(kept.read_text().splitlines()) == min(count, 10_000) if where else not kept.exists()
    assert not list(recipe.data.glob("*.jsonl"))


def test_a_manifest_that_is_all_wrong_is_not_kept_in_memory(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("espnet3.components.data.validation.KEPT", 60)
    with pytest.raises(
        DataError, match=r"has 140 problems:\n(.*\n){50}\.\.\. and 90 more\. The first 120 are in .*"
    ) as caught:
        create_dataset(recipe.config(texts=["A\nB"] * 70))
    assert "train.jsonl:1: " in str(caught.value)
    assert len((recipe.data / "problems.txt").read_text().splitlines()) == 120


def test_the_faults_of_several_builders_come_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(tmp_path, FAULTY)
    (recipe.folder / "second_corpus.py").write_text(FAULTY.replace("corpus.tsv", "second.tsv"))
    monkeypatch.syspath_prepend(recipe.folder)
    config = recipe.config(texts=["2"])
    config["dataset"]["valid"] = [{"data_src": "second_corpus", "data_src_args": {"manifest": "valid.jsonl"}}]
    with pytest.raises(DataError, match=r"4 problems:\ncorpus\.tsv:0(.*\n)+second\.tsv:1"):
        create_dataset(config)
    monkeypatch.delitem(sys.modules, "second_corpus")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]


def test_what_was_changed_and_what_nobody_sees_is_warned_of(recipe: Recipe, caplog: pytest.LogCaptureFixture) -> None:
    create_dataset(recipe.config(texts=["ONE", "cafe\u0301", "a\u200bb", "\u200b\u200bc", "\ufeffna\u0308h"]))
    for split in ("train", "test"):
        path = recipe.data / f"{split}.jsonl"
        for message in (
            f"{path}: 2 of 5 transcripts came in another Unicode form than NFC and were changed to it, first that of "
            f"{split}1.",
            f"{path}:3: 2 texts, from this one on, are written with what nobody sees: zero-width space, 3 in all. Take "
            "it out.",
            f"{path}:5: 1 text is written with what nobody sees: byte order mark, 1 in all. Take it out.",
        ):
            assert warnings(caplog).count(message) == 1
        assert [each.text for each in Manifest(path)][1] == f"{split} caf\u00e9"
        assert AudioIndex(path)


def test_a_text_in_two_forms_is_one_text(recipe: Recipe, caplog: pytest.LogCaptureFixture) -> None:
    create_dataset(recipe.config())
    for split, text in (("train", "caf\u00e9"), ("test", "cafe\u0301")):
        path = recipe.data / f"{split}.jsonl"
        path.write_text(path.read_text().replace(f"{split} TWO", text))
    create_dataset(recipe.config())
    assert f"{recipe.data}/test.jsonl:2: 1 text is in another Unicode form than NFC" in "\n".join(warnings(caplog))
    assert "train and test set plain share 1 text (1 of 2 utterances)." in "\n".join(warnings(caplog))


def test_a_manifest_that_no_builder_makes_is_named(recipe: Recipe) -> None:
    config = recipe.config()
    config["dataset"]["valid"] = [{"data_src_args": {"manifest": str(recipe.data / "dev.jsonl")}}]
    with pytest.raises(
        DataError, match=r"dataset\.valid\.0.*no manifest .*dev\.jsonl.*builders made .*test\.jsonl, .*train"
    ):
        create_dataset(config)


def test_shared_speakers_are_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recipe = Recipe(tmp_path, BUILDER.replace("{split}-話者", "話者"))
    create_dataset(recipe.config())
    assert [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING] == [
        f"{recipe.data}/test.jsonl: train and test set plain share 1 speaker."
    ]


def test_several_modules_have_directories_of_their_own(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    (recipe.folder / "other_corpus.py").write_text(BUILDER)
    monkeypatch.syspath_prepend(recipe.folder)
    config = recipe.config()
    manifest = recipe.data / "other_corpus/train.jsonl"
    config["dataset"]["valid"] = [{"data_src": "other_corpus", "data_src_args": {"manifest": str(manifest)}}]
    create_dataset(config)
    assert len(Manifest(recipe.data / "train.jsonl")) == 2
    assert len(Manifest(manifest)) == 2
    monkeypatch.delitem(sys.modules, "other_corpus")


def test_a_dataset_without_manifest_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    own = "\n\nclass Dataset(list):\n    durations = utterance = None\n    def __init__(self, manifest): pass\n"
    create_dataset(Recipe(tmp_path, BUILDER + own).config())
    assert "train: training_config.dataset.train.0 has no manifest, so it is not checked." in caplog.messages


def test_hand_made_manifests_are_checked_too(recipe: Recipe) -> None:
    create_dataset(recipe.config())
    with (recipe.data / "train.jsonl").open("a") as file:
        file.write(json.dumps(record(3, audio="gone.wav")) + "\n")
    with pytest.raises(DataError, match=r"train\.jsonl:3: .*gone\.wav does not exist"):
        create_dataset(recipe.config())


def test_loads_nothing_heavy(recipe: Recipe) -> None:
    code = (
        "import json, sys\n"
        "from espnet3.systems.base.create_dataset import create_dataset\n"
        "create_dataset(json.loads(sys.argv[1]))\n"
        "print({'torch', 'lightning', 'soxr', 'sentencepiece'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, json.dumps(recipe.config())]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout.strip() == "set()"

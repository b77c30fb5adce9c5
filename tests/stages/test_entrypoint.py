"""A stage's container from outside: what it is told, what it leaves, how it ends."""

import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from espnet3.recipe.run_config import RunConfig
from stages import container_of, stages_with_a_file
from tests.recipe.toy_recipe import ALL
from tests.stages.conftest import Place

HEAVY = ("torch", "lightning", "numpy", "soundfile", "sentencepiece", "tensorboard", "jiwer", "hera")


def test_every_stage_runs_from_the_run_config_alone(place: Place) -> None:
    place.run_all()
    assert (place.folder / "exp/toy/averaged.safetensors").exists()
    assert (place.folder / "exp/toy/greedy/metrics.json").exists()
    assert (place.folder / "exported-words").exists()
    assert sorted(path.name for path in place.folder.iterdir()) == [".runs", "data", "exp", "exported-words"]


def test_both_forms_of_the_run_config_are_one_run(place: Place) -> None:
    run = RunConfig.load(place.config)
    assert place.run("create_dataset").code == 0
    place.config.write_text(run.to_compressed(), encoding="ascii")
    assert "already done" in place.run("create_dataset").out
    assert [path.name for path in (place.folder / ".runs").iterdir()] == [run.digest]


def test_a_stage_that_is_done_is_done_until_it_is_forced(place: Place) -> None:
    place.run_all()
    assert place.run("train").out == "train: already done; ESPNET3_FORCE=train does it again\n"
    assert "already done" in place.run("train", ESPNET3_FORCE="infer, measure").out
    for force in ("train", "infer,train", "infer train", "all"):
        assert "DONE train" in place.run("train", ESPNET3_FORCE=force).out, force


def test_the_log_says_which_image_and_attempt(place: Place) -> None:
    place.run("create_dataset", ESPNET3_IMAGE="registry/espnet3-data@sha256:abc", ESPNET3_ATTEMPT="2")
    log = (place.folder / "data/create_dataset.log").read_text()
    assert "image: registry/espnet3-data@sha256:abc\nattempt: 2\n" in log


def test_the_recipes_code_is_that_of_the_run_config(place: Place) -> None:
    """Not that of the working directory, should it hold some."""
    (place.folder / "src").mkdir()
    (place.folder / "src/__init__.py").write_text("raise SystemExit('the wrong one')")
    assert place.run("export").code == 0
    assert (place.folder / "exported-words").exists()


def test_a_system_of_run_py_itself(place: Place) -> None:
    place.recipe.edit(
        "run.py",
        "from src.system import ToySystem\n",
        "import src.system\n\n\nclass Mine(src.system.ToySystem):\n    pass\n",
    )
    place.recipe.edit("run.py", "= ToySystem", "= Mine")
    place.write_config()
    assert yaml.safe_load(place.config.read_text())["system"] == "run.Mine"
    assert place.run("create_dataset").code == 0
    assert "already done" in place.run("create_dataset").out


def with_run_config(change: Callable[[str], str]) -> Callable[[Place], None]:
    def write(place: Place) -> None:
        place.config.write_text(change(place.config.read_text()))

    return write


def replaced(old: str, new: str) -> Callable[[Place], None]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return with_run_config(change)


def in_recipe(name: str, old: str, new: str) -> Callable[[Place], None]:
    def change(place: Place) -> None:
        place.recipe.edit(name, old, new)
        place.write_config()

    return change


def remove(place: Place) -> None:
    place.config.unlink()


def compress_and_cut(place: Place) -> None:
    place.config.write_text(RunConfig.load(place.config).to_compressed()[:-40])


def occupy(place: Place) -> None:
    (place.folder / "data").write_text("a file")


def spoil_the_code(place: Place) -> None:
    place.run("create_dataset")
    (next((place.folder / ".runs").iterdir()) / "recipe/src/parts.py").write_text("")


WRONG = {
    "no file": (remove, "cannot be read: No such file"),
    "an empty file": (with_run_config(lambda _: ""), "is not a run config"),
    "half a file": (with_run_config(lambda text: text[: len(text) // 2]), "run.yaml is"),
    "half a compressed one": (compress_and_cut, "a compressed run config that was damaged or cut off"),
    "base64 of nothing": (with_run_config(lambda _: "aGVsbG8="), "a compressed run config that was damaged"),
    "bytes": (with_run_config(lambda _: "\x00\x01"), "malformed YAML"),
    "code that was changed": (replaced("return 'words'", "return 'sword'"), "does not have the sha256"),
    "a newer version": (replaced("schema_version: 1", "schema_version: 99"), "reads up to 1: a newer one wrote"),
    "an unknown key": (replaced("schema_version: 1", "schema_version: 1\nreplicas: 2"), "replicas"),
    "a path out of the recipe": (replaced("src/parts.py:", "../parts.py:"), "a plain relative path"),
    "a System that is not there": (replaced("src.system.ToySystem", "src.system.TonySystem"), "has no TonySystem"),
    "a module that is not there": (replaced("src.system.ToySystem", "scr.system.ToySystem"), "there is no module scr"),
    "a System that is none": (replaced("src.system.ToySystem", "src.system.Part"), "a subclass of"),
    "a wrong key": (replaced("optimizer:", "optimzer:"), "optimzer"),
    "a missing slot": (replaced("  training_config:", "  metrics_config:"), "needs training_config, which the run"),
    "a directory that is a file": (occupy, "data is a file"),
    "unpacked code that was changed": (spoil_the_code, "holds other files than this run's recipe"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_the_config_ends_with_78_and_a_sentence(place: Place, case: str) -> None:
    spoil: Callable[[Place], object]
    spoil, words = WRONG[case]
    spoil(place)
    ran = place.run("collect_stats" if "changed" not in case else "create_dataset", ESPNET3_FORCE="all")
    assert ran.code == 78
    assert words in ran.err
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "unknown stage 'trian': did you mean train? stages: create_dataset"),
        (["_write"], "unknown stage '_write'"),
        (["train", "--config"], "expected one argument"),
        (["train", "--config", "run.yaml", "--set", "lr=1"], "unrecognized arguments: --set lr=1"),
        (["train", "--config", "run.yaml", "infer"], "unrecognized arguments: infer"),
        (["plan", "--config", "run.yaml", "--force"], "unrecognized arguments: --force"),
        (["doctor"], "doctor takes one argument"),
        (["doctor", "/nowhere/at/all"], "/nowhere/at/all is not a folder"),
        (["doctor", ".", "."], "doctor takes one argument"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_78(place: Place, words: list[str], said: str) -> None:
    ran = place.run(*words)
    assert ran.code == 78
    assert said in ran.err


def test_missing_inputs_are_a_fault_of_the_data(place: Place) -> None:
    ran = place.run("train")
    assert ran.code == 66
    assert "train: needs data/train.jsonl, which does not exist; run create_dataset first" in ran.err


@pytest.mark.parametrize(
    ("raised", "code", "status"),
    [
        ("DataError('no such word')", 66, "failed"),
        ("espnet3.errors.ConfigError('no such word')", 78, "failed"),
        ("espnet3.errors.TryAgain('no such word')", 75, "stopped"),
        ("espnet3.errors.LostLease('no such word')", 75, "stopped"),
        ("espnet3.errors.Espnet3Error('no such word')", 1, "failed"),
        ("ValueError('no such word')", 1, "failed"),
        ("OSError(28, 'no such word')", 1, "failed"),
        ("OSError(116, 'no such word')", 75, "stopped"),
        ("PermissionError(13, 'no such word')", 78, "failed"),
        ("KeyboardInterrupt('no such word')", 75, "stopped"),
    ],
)
def test_an_error_has_the_exit_code_of_its_class(place: Place, raised: str, code: int, status: str) -> None:
    in_recipe("src/system.py", 'raise ValueError("no such layer")', f"import espnet3.errors; raise {raised}")(place)
    in_recipe("conf/training.yaml", "model: {", "model: {fail: true, ")(place)
    place.run("create_dataset")
    place.run("collect_stats")
    ran = place.run("train", ESPNET3_OUTCOME_FILE="outcome.json", ESPNET3_TERMINATION_LOG="message")
    outcome = json.loads((place.folder / "outcome.json").read_text())
    assert (ran.code, outcome["exit_code"], outcome["status"]) == (code, code, status)
    assert outcome["message"] == (place.folder / "message").read_text()
    assert ran.err.endswith(outcome["message"].removeprefix("… "))
    assert ("no such word" in ran.err) == (not raised.startswith("KeyboardInterrupt"))
    assert ("Traceback" in ran.err) == (raised.startswith("ValueError"))
    assert not (place.folder / "exp/toy/.done/train.json").exists()


@pytest.mark.parametrize(
    ("ended", "code"), [("3", 3), ("0", 0), ("", 0), ("'why'", 1), ("64", 1), ("65", 1), ("-1", 1), ("200", 1)]
)
def test_a_stage_that_ends_the_process_itself(place: Place, ended: str, code: int) -> None:
    in_recipe("src/parts.py", "return 'words'", f"raise SystemExit({ended})")(place)
    ran = place.run("export", ESPNET3_OUTCOME_FILE="outcome.json")
    assert ran.code == code
    assert json.loads((place.folder / "outcome.json").read_text())["exit_code"] == code
    assert ("why" in ran.err) == (ended == "'why'")


def test_secrets_stay_out_of_everything(place: Place) -> None:
    in_recipe("src/parts.py", "return 'words'", "raise RuntimeError('hunter22')")(place)
    wanted = {"ESPNET3_OUTCOME_FILE": "outcome.json", "ESPNET3_TERMINATION_LOG": "message", "HF_TOKEN": "hunter22"}
    ran = place.run("export", **wanted)
    assert ran.code == 1
    written = [path.read_text() for path in place.folder.rglob("*") if path.is_file() and ".runs" not in path.parts]
    assert len(written) == 3
    for text in (ran.out, ran.err, *written):
        assert "hunter22" not in text
    assert "RuntimeError: ***" in ran.err


def test_a_secret_in_the_config_is_refused_untold(place: Place) -> None:
    replaced("exp_tag: toy", "exp_tag: toy\n    hf_token: hunter22")(place)
    ran = place.run("create_dataset")
    assert ran.code == 78
    assert "hf_token: is a secret" in ran.err
    assert "hunter22" not in ran.out + ran.err


def test_the_outcome_says_what_came_of_it(place: Place) -> None:
    place.run_all()
    ran = place.run(
        "measure", ESPNET3_OUTCOME_FILE="sub/outcome.json", ESPNET3_ATTEMPT="3", ESPNET3_FORCE="measure",
        ESPNET3_TERMINATION_LOG="message",
    )  # fmt: skip
    assert ran.code == 0
    outcome = json.loads((place.folder / "sub/outcome.json").read_text())
    assert outcome.pop("seconds") < 60
    assert outcome.pop("peak_memory_bytes") > 1e7
    scores = outcome.pop("result")["unseen"]
    assert scores["wer"] == 12.345
    assert outcome == {"stage": "measure", "status": "skipped", "exit_code": 0, "attempt": 3, "message": ""} | {
        "status": "done"
    }
    assert not (place.folder / "message").exists()


def test_an_outcome_that_cannot_be_written_changes_nothing(place: Place) -> None:
    ran = place.run("create_dataset", ESPNET3_OUTCOME_FILE="/proc/outcome.json", ESPNET3_TERMINATION_LOG="/proc/m")
    assert ran.code == 0
    assert "The outcome file /proc/outcome.json cannot be written" in ran.err


@pytest.mark.parametrize(
    ("raised", "kept"),
    [("RuntimeError('é' * 9000 + 'end')", "end\n"), ("espnet3.errors.DataError('start' + 'é' * 9000)", "error: start")],
    ids=["the end of a stack trace", "the beginning of a sentence"],
)
def test_a_long_message_is_cut_for_the_workflow_and_whole_elsewhere(place: Place, raised: str, kept: str) -> None:
    in_recipe("src/parts.py", "return 'words'", f"import espnet3.errors; raise {raised}")(place)
    ran = place.run("export", ESPNET3_TERMINATION_LOG="message", ESPNET3_OUTCOME_FILE="outcome.json")
    message = (place.folder / "message").read_text(encoding="utf-8")
    assert json.loads((place.folder / "outcome.json").read_text(encoding="utf-8"))["message"] == message
    assert 900 < len(message.encode()) <= 1000
    assert (message.startswith if kept.startswith("error") else message.endswith)(kept)
    logs = [path.read_text(encoding="utf-8") for path in place.folder.rglob("export.log")]
    assert all("é" * 9000 in text for text in (ran.err, *logs))
    assert len(logs) == 1


def test_the_result_of_a_stage_is_no_burden_for_the_workflow(place: Place) -> None:
    scores = 'scores = {f"test{number}": {"wer": 12.345, "wer_interval": "95 % bootstrap"} for number in range(200)}'
    write = '        Path(self.metrics_config.inference_dir, "metrics'
    place.recipe.edit("src/system.py", write, f"        {scores}\n{write}")
    place.write_config()
    place.run_all()
    place.run("measure", ESPNET3_OUTCOME_FILE="outcome.json")
    assert (place.folder / "outcome.json").stat().st_size < 5000
    assert "it is in the files that measure wrote" in (place.folder / "outcome.json").read_text(encoding="utf-8")


def test_what_a_stage_makes_can_be_written_by_its_group(place: Place) -> None:
    place.run_all()
    assert place.run("plan").code == 0
    made = [path for path in place.folder.rglob("*") if path.stat().st_mode & stat.S_IWGRP == 0]
    assert made == []


def test_the_stages_say_what_containers_they_want() -> None:
    files = stages_with_a_file()
    assert files == sorted([*ALL[:-1], "train_tokenizer", "pack_model", "upload_model", "pack_demo", "upload_demo"])
    containers = {stage: container_of(stage) for stage in files}
    assert {each.image for each in containers.values()} == {"data", "train", "infer", "measure", "publish"}
    assert [stage for stage, each in containers.items() if each.sharded] == ["collect_stats", "infer"]
    assert [stage for stage, each in containers.items() if each.token] == ["upload_demo", "upload_model"]
    assert [stage for stage, each in containers.items() if each.network] == [
        "create_dataset",
        "upload_demo",
        "upload_model",
    ]
    for stage in ("export", "_plan", "__main__", "../train", ""):
        assert container_of(stage).image == "train"


def test_what_can_be_divided_says_where_its_pieces_are() -> None:
    from espnet3.systems.asr.system import ASRSystem

    with_partials = {stage for stage, spec in ASRSystem.stage_specs.items() if spec.partial_outputs}
    assert with_partials == {stage for stage in ASRSystem.stage_specs if container_of(stage).sharded}


@pytest.mark.parametrize(
    "module", ["stages", "stages.__main__", "stages._entrypoint", "stages._plan", "stages._doctor", "stages._report"]
)
def test_nothing_heavy_is_imported(module: str) -> None:
    assert [name for name in HEAVY if name in loaded(f"import {module}")] == []


def test_containers_are_read_without_the_library() -> None:
    names = loaded("import stages; [stages.container_of(stage) for stage in stages.stages_with_a_file()]")
    assert "stages.train" in names
    assert "espnet3" not in names


def loaded(code: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_help_lists_the_commands() -> None:
    done = subprocess.run([sys.executable, "-m", "stages"], capture_output=True, text=True, check=True)
    for words in ("create_dataset", "plan --config FILE", "report", "doctor DIR"):
        assert words in done.stdout


def test_config_is_the_only_flag() -> None:
    done = subprocess.run([sys.executable, "-m", "stages.train", "--help"], capture_output=True, text=True, check=True)
    assert [word for word in done.stdout.split() if word.startswith("--")] == ["--config", "--help", "--config"]


def test_tree_of_the_run_folder(place: Place) -> None:
    place.run("create_dataset")
    folder = place.folder / ".runs" / RunConfig.load(place.config).digest
    names = {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}
    code = ["run.py", "src/__init__.py", "src/system.py", "src/parts.py", "dataset/__init__.py"]
    assert {name for name in names if "__pycache__" not in name} == {f"recipe/{name}" for name in code}

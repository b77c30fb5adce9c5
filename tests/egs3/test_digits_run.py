"""The digits recipe from a user's side: every stage, in processes of its own, run twice, changed and disturbed."""

import contextlib
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from espnet3.config.slots import load_slots
from espnet3.recipe.recipe import load_recipe
from espnet3.recipe.run_config import RunConfig
from espnet3.utils.stages_utils import run_stages
from tests.egs3.conftest import Undisturbed
from tests.egs3.digits_run import CONFIGS, STAGES, Digits, respect_permissions
from tests.small_disks import mounted_disk
from tests.trees import differences

After = Callable[[str], Digits]
TRAINING = CONFIGS["training"]
HEAVY = ("torch", "lightning", "tensorboard")
PUBLISHING = ["pack_model", "pack_demo"]
AFTER_TRAIN = ["infer", "measure", *PUBLISHING]


@pytest.mark.slow
def test_each_stage_passes(undisturbed: Undisturbed) -> None:
    assert {stage: done.returncode for stage, done in undisturbed.said.items()} == dict.fromkeys(STAGES, 0)
    assert re.search(r"unseen +│ +\d+\.\d\d \(", undisturbed.said["measure"].stdout)


@pytest.mark.parametrize(
    ("stage", "unwanted"),
    [
        ("create_dataset", (*HEAVY, "sentencepiece", "jinja2")),
        ("train_tokenizer", (*HEAVY, "soundfile", "jinja2")),
        ("collect_stats", (*HEAVY, "sentencepiece", "jinja2")),
        ("train", ("jinja2", "rapidfuzz", "jiwer")),
        ("infer", ("lightning", "tensorboard", "jinja2", "rapidfuzz", "jiwer")),
        ("measure", (*HEAVY, "sentencepiece")),
        ("pack_model", ("lightning", "tensorboard", "jinja2", "jiwer", "huggingface_hub")),
        ("pack_demo", (*HEAVY, "onnx", "jinja2", "huggingface_hub")),
    ],
)
def test_a_stage_imports_only_what_it_needs(undisturbed: Undisturbed, stage: str, unwanted: tuple[str, ...]) -> None:
    imported = set(re.findall(r"\| +(\w+)$", undisturbed.said[stage].stderr, re.MULTILINE))
    assert "omegaconf" in imported
    assert imported.isdisjoint(unwanted)


def test_a_second_run_does_the_work_once(finished: Digits) -> None:
    before = finished.files()
    done = finished.run()
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^(\w+): already done", done.stdout, re.MULTILINE) == STAGES
    assert "unseen" in done.stdout
    assert finished.files() == before


@pytest.mark.parametrize(
    ("changes", "redone", "reason"),
    [
        ("optimizer: {lr: 0.001}", ["train", *AFTER_TRAIN], "optimizer.lr: 0.003 → 0.001"),
        ("trainer: {max_epochs: 4}", ["train", *AFTER_TRAIN], "trainer.max_epochs: 3 → 4"),
        ("features: {n_mels: 20}", ["collect_stats", "train", *AFTER_TRAIN], "features.n_mels: 40 → 20"),
        ("num_workers: 2", [], ""),
        ("trainer: {every_n_minutes: 1}", [], ""),
    ],
    ids=["learning rate", "epochs", "features", "workers", "time between checkpoints"],
)
def test_a_new_setting_redoes_what_follows_from_it(
    finished: Digits, changes: str, redone: list[str], reason: str
) -> None:
    finished.write("conf/changed.yaml", f"defaults: [tiny, _self_]\n{changes}\n")
    plan = finished.plan("--training_config", "conf/changed.yaml")
    assert [stage for stage in STAGES if not plan[stage].startswith("done")] == redone
    assert all(reason in plan[stage] for stage in redone[:1])


@pytest.mark.slow
def test_a_new_decoding_redoes_inference_scores_and_packs_only(finished: Digits) -> None:
    finished.write(
        "conf/beam.yaml",
        "defaults: [tiny_inference, _self_]\n"
        "model: {decoder: {_target_: espnet3.systems.asr.decoding.prefix_beam.PrefixBeamDecoder, beam: 2}}\n",
    )
    trained = {name: time for name, time in finished.files().items() if not re.search("greedy|pack", name)}
    assert finished.stages_run_by("--inference_config", "conf/beam.yaml") == AFTER_TRAIN
    assert {name: time for name, time in finished.files().items() if not re.search("greedy|pack", name)} == trained


def test_force_redoes_the_named_stages_only(finished: Digits, undisturbed: Undisturbed) -> None:
    assert finished.stages_run_by("--stages", "measure", "train_tokenizer", "--force") == ["train_tokenizer", "measure"]
    assert differences(finished.products(), undisturbed.finished.products()) == []


def test_the_plan_says_what_is_done_and_changes_nothing(finished: Digits) -> None:
    finished.edit("conf/metrics.yaml", "cer.CER", "cer.CER\n      name: letters")
    before = finished.files()
    plan = finished.plan()
    assert {stage for stage, state in plan.items() if state.startswith("done")} == {*STAGES} - {"measure", *PUBLISHING}
    assert 'metrics.1.metric.name: (not set) → "letters"' in plan["measure"]
    assert finished.files() == before


def test_the_printed_config_loads_to_the_same(finished: Digits, tmp_path: Path) -> None:
    printed = finished.run("--print_config").stdout
    path = tmp_path / "run.yaml"
    path.write_text(printed, encoding="utf-8")
    run_config = RunConfig.load(path)
    assert run_config.to_yaml() == printed
    assert run_config.stages == STAGES
    assert run_config.slots["metrics_config"]["inference_dir"] == "exp/tiny/greedy"
    assert "dataset/builder.py" in run_config.recipe.files


LINE_BEFORE = dict.fromkeys(STAGES, "START") | {"train": "valid: 60 utterances"}
SECONDS = dict.fromkeys(STAGES, 0.5) | {"create_dataset": 1.2, "train": 1.5}


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_run_again_leaves_the_same_files(after: After, undisturbed: Undisturbed, stage: str) -> None:
    recipe = after(["", *STAGES][STAGES.index(stage)])
    stopped = recipe.start("--stages", stage)
    wait_for(stopped, LINE_BEFORE[stage])
    time.sleep(random.Random(f"2026 {stage}").uniform(0, SECONDS[stage]))
    kill(stopped)
    again = recipe.run("--stages", stage)
    assert again.returncode == 0, again.stderr
    assert differences(recipe.products(), undisturbed.after[stage].products()) == []


def whole(recipe: Digits) -> dict[str, Any]:
    """Its products but for the files that a kill cut short, which the next run may clear away."""
    return {name: product for name, product in recipe.products().items() if not name.endswith(".tmp")}


@pytest.mark.slow
def test_an_unfinished_training_is_continued_but_never_mixed(after: After, undisturbed: Undisturbed) -> None:
    recipe = after("collect_stats")
    stopped = recipe.start("--stages", "train")
    wait_for(stopped, "epoch 2:")
    kill(stopped)
    recipe.write("conf/other.yaml", "defaults: [tiny, _self_]\noptimizer: {lr: 0.001}\n")
    before = whole(recipe)

    refused = recipe.run("--stages", "train", "--training_config", "conf/other.yaml")

    assert refused.returncode == 78
    assert "unfinished training with other settings (optimizer.lr: 0.003 → 0.001)" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert differences(whole(recipe), before) == []
    cut_in_half(recipe.folder / "exp/tiny/checkpoints/last.ckpt")

    done = recipe.run("--stages", "train")

    assert done.returncode == 0, done.stderr
    assert re.search(r"WARNING .*last\.ckpt cannot be read \(.*\) and was renamed to last\.ckpt\.damaged", done.stdout)
    products = recipe.products()
    assert products.pop("exp/tiny/checkpoints/last.ckpt.damaged")
    assert differences(products, undisturbed.after["train"].products()) == []


def test_two_processes_building_the_same_dataset(after: After, undisturbed: Undisturbed) -> None:
    recipe = after("")
    both = [recipe.start("--stages", "create_dataset") for _ in range(2)]
    said = [process.communicate(timeout=300)[1] for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 0], [0, 75]), said
    assert all("now belongs to another run" in text for text, one in zip(said, both, strict=True) if one.returncode)
    again = recipe.run("--stages", "create_dataset")
    assert again.returncode == 0, again.stderr
    assert differences(recipe.products(), undisturbed.after["create_dataset"].products()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system that `room` makes larger."""
    with mounted_disk(tmp_path, "200k") as disk:
        yield disk


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "place"), [("create_dataset", "data"), ("collect_stats", "data/stats"), ("train", "exp")]
)
def test_a_full_disk_loses_nothing(
    after: After, undisturbed: Undisturbed, small_disk: Path, stage: str, place: str
) -> None:
    recipe = after(["", *STAGES][STAGES.index(stage)])
    (recipe.folder / place).symlink_to(small_disk)
    if stage == "collect_stats":
        (small_disk / "ballast").write_bytes(bytes(196 * 1024))

    full = recipe.run("--stages", stage)

    assert full.returncode == 1, full.stderr
    assert re.match(r"error: .*No space left on device.*make room or choose another directory", full.stderr)
    assert "Traceback" not in full.stderr
    (small_disk / "ballast").unlink(missing_ok=True)
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    again = recipe.run("--stages", stage)
    assert again.returncode == 0, again.stderr
    assert differences(recipe.products(), undisturbed.after[stage].products()) == []


def test_a_read_only_directory_is_named_before_anything_starts(after: After) -> None:
    recipe = after("")
    (recipe.folder / "data").mkdir()
    (recipe.folder / "data").chmod(0o555)
    refused = recipe.run("--stages", "create_dataset", before=respect_permissions)
    assert refused.returncode == 78
    assert "data: cannot be written (no permission" in refused.stderr
    assert list((recipe.folder / "data").iterdir()) == []


SYSTEM = """
from espnet3.systems.asr.system import ASRSystem


class RecipeSystem(ASRSystem):
    def show(self):
        from src.words import WORDS

        (self.exp_dir / "words").write_text(WORDS)
"""


def test_two_recipes_run_in_one_process(undisturbed: Undisturbed, tmp_path: Path) -> None:
    for name in ("one", "two"):
        recipe = undisturbed.finished.copy(tmp_path / name / "asr")
        recipe.edit("run.py", "from espnet3.systems.asr.system import ASRSystem", "from src.system import RecipeSystem")
        recipe.edit("run.py", "SYSTEM_CLS = ASRSystem", "SYSTEM_CLS = RecipeSystem")
        recipe.write("src/__init__.py", "")
        recipe.write("src/system.py", SYSTEM)
        recipe.write("src/words.py", f"WORDS = {name!r}\n")
    recipes = [load_recipe(tmp_path / name / "asr") for name in ("one", "two")]
    for loaded in (*recipes, recipes[0]):
        with loaded.activated(), contextlib.chdir(loaded.dir):
            slots = load_slots({"training_config": Path(CONFIGS["training"])})
            run_stages(system=loaded.system_cls(**slots), stages_to_run=["train_tokenizer", "show"])
    assert [(loaded.dir / "exp/tiny/words").read_text() for loaded in recipes] == ["one", "two"]
    assert recipes[0].system_cls is not recipes[1].system_cls


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read what the process says until `words` come up."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    pytest.fail(f"the process never said {words!r}")


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def cut_in_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])

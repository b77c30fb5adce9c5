"""Which stages run.py runs again, and why."""

import itertools
import json
import re

import pytest

from tests.recipe.toy_recipe import ALL, SYSTEM, Recipe


def test_a_second_run_does_no_work_again(finished: Recipe) -> None:
    done = finished.run()
    assert re.findall(r"DONE (\w+)", done.stdout) == ["export"]
    assert "train: already done" in done.stdout
    assert "12.3" in done.stdout


def test_a_done_record_says_what_it_covers(finished: Recipe) -> None:
    record = json.loads((finished.folder / "exp/toy/.done/train.json").read_text())
    inputs = record["inputs"]
    assert inputs["settings"]["training_config.optimizer.lr"] == 0.002
    assert inputs["contents"]["training_config.dataset.train.0.data_src_args.manifest"]["path"] == "data/train.jsonl"
    assert "src/system.py" in inputs["code"]
    assert set(record["outputs"]) == {"exp/toy/config.yaml", "exp/toy/averaged.safetensors"}
    assert set(record["made_by"]) == {"espnet3", "commit", "recipe"}
    assert (finished.folder / "exp/toy/averaged.safetensors").read_text() == f"{record['fingerprint']} False"


@pytest.mark.parametrize(
    ("name", "old", "new", "stages", "reason"),
    [
        ("conf/training.yaml", "0.002", "0.001", ["train", "infer", "measure"], "optimizer.lr: 0.002 → 0.001"),
        (
            "conf/training.yaml",
            "n_mels: 80",
            "n_mels: 40",
            ["collect_stats", "train", "infer", "measure"],
            "features.n_mels: 80 → 40",
        ),
        (
            "conf/training.yaml",
            "create_dataset: {}",
            "create_dataset: {n: 1}",
            ALL[:-1],
            "create_dataset.n: (not set) → 1",
        ),
        ("conf/inference.yaml", "beam: 1", "beam: 8", ["infer", "measure"], "model.beam: 1 → 8"),
        ("conf/metrics.yaml", "{_target_:", "{a: 1, _target_:", ["measure"], "metrics.0.metric.a: (not set) → 1"),
        ("conf/inference.yaml", "shards: 2", "shards: 3", [], ""),
        ("conf/training.yaml", "data_dir: data", "data_dir: data\nnum_workers: 4", [], ""),
        ("conf/training.yaml", "data_dir: data", "data_dir: data\nstage_log_mode: per_rank", [], ""),
        (
            "conf/training.yaml",
            "data_dir: data",
            "data_dir: data\nnum_threads: 1",
            ["train", "infer", "measure"],
            "num_threads",
        ),
        ("src/system.py", "class Part", "# Part\nclass Part", [], ""),
        ("src/system.py", "class Part:", 'class Part:\n    """One."""\n', [], ""),
        ("src/system.py", "write_text(", "write_text(''.join(()) + ", ALL[:-1], "src/system.py changed"),
        (
            "dataset/__init__.py",
            "pass",
            "x = 1",
            ["collect_stats", "train", "infer", "measure"],
            "dataset.Dataset changed",
        ),
        ("run.py", "import main", "import  main", [], ""),
    ],
    ids=[
        "learning rate",
        "features",
        "data",
        "decoding",
        "metric",
        "shards",
        "workers",
        "log mode",
        "threads",
        "comment",
        "docstring",
        "system",
        "dataset module",
        "run.py",
    ],
)
def test_only_what_a_change_reaches_runs_again(
    finished: Recipe, name: str, old: str, new: str, stages: list[str], reason: str
) -> None:
    finished.edit(name, old, new)
    plan = finished.plan()
    assert [stage for stage in ALL[:-1] if not plan[stage].startswith("done")] == stages
    if stages:
        assert reason in plan[stages[0]]
    for earlier, later in itertools.pairwise(stages):
        waits = f"runs if other files come out of .*{earlier}"
        assert plan[later].startswith("to do") or re.match(waits, plan[later])
    assert finished.stages_run_by() == [*stages, "export"]
    assert finished.stages_run_by() == ["export"]


@pytest.fixture
def with_table(recipe: Recipe) -> Recipe:
    """A finished run whose create_dataset names a file."""
    recipe.edit("conf/training.yaml", "create_dataset: {}", "create_dataset: {table: corpus.tsv}")
    recipe.write("corpus.tsv", "one\n")
    assert recipe.stages_run_by() == ALL
    return recipe


def test_an_edited_corpus_is_another_corpus(with_table: Recipe) -> None:
    assert with_table.stages_run_by() == ["export"]
    with_table.edit("corpus.tsv", "one", "two")
    assert re.fullmatch(r"to do: corpus\.tsv changed \(sha256 \w{8}… → \w{8}…\)", with_table.plan()["create_dataset"])
    assert with_table.stages_run_by() == ALL
    assert with_table.stages_run_by() == ["export"]


def test_a_corpus_that_is_not_on_this_machine_counts_as_unchanged(with_table: Recipe) -> None:
    (with_table.folder / "corpus.tsv").unlink()
    assert with_table.stages_run_by() == ["export"]
    with_table.write("corpus.tsv", "one\n")
    assert with_table.stages_run_by() == ["export"]


@pytest.mark.parametrize(
    ("resume", "flags", "kept"),
    [
        ("same", [], "exp/toy/checkpoints.2"),
        ("same", ["--force"], "exp/toy/checkpoints.2"),
        ("continue", [], None),
    ],
    ids=["other settings", "force", "goes on"],
)
def test_the_plan_says_where_a_finished_training_is_kept(
    finished: Recipe, resume: str, flags: list[str], kept: str | None
) -> None:
    for name in ("checkpoints/last.ckpt", "checkpoints.1/last.ckpt"):
        finished.write(f"exp/toy/{name}", "")
    assert "is kept in" not in finished.plan("--stages", "infer", "--force")["infer"]
    finished.edit("conf/training.yaml", "data_dir: data", f"data_dir: data\ntrainer: {{resume: {resume}}}")
    assert finished.plan()["train"].startswith("done")
    finished.edit("conf/training.yaml", "0.002", "0.001")
    plan = finished.plan(*flags)["train"]
    assert plan.endswith(f"the finished one is kept in {kept}") == bool(kept)
    assert flags or "optimizer.lr: 0.002 → 0.001" in plan


PLAIN_TARGETS = {
    "training": {"src.system.Part": "collections.Counter"},
    "inference": {"src.system.Part": "collections.Counter"},
    "metrics": {"src.system.Part": "collections.Counter"},
}


@pytest.fixture
def plain(finished: Recipe) -> Recipe:
    """Finished, with settings that name nothing in src/ and a System there that changes no stage."""
    finished.write("library.py", SYSTEM)
    finished.edit("run.py", "from src", "import sys\nsys.path.append(__file__.rpartition('/')[0])\nfrom src")
    finished.write("src/system.py", "from library import ToySystem as Base\n\n\nclass ToySystem(Base):\n    pass\n")
    for slot, changes in PLAIN_TARGETS.items():
        for old, new in changes.items():
            finished.edit(f"conf/{slot}.yaml", old, new)
    assert finished.stages_run_by() == ALL
    return finished


@pytest.mark.parametrize(
    ("name", "text", "stages"),
    [
        ("src/plain.py", "x = 1\n", []),
        ("src/system.py", "    def export_debug(self):\n        pass\n", []),
        ("src/system.py", "    def train(self):\n        super().train()\n", ["train", "infer", "measure"]),
        ("src/system.py", "    def __init__(self, **slots):\n        super().__init__(**slots)\n", ALL[:-1]),
        ("dataset/more.py", "x = 1\n", []),
    ],
    ids=["unused file", "further stage", "overridden stage", "constructor", "unused dataset file"],
)
def test_code_redoes_only_what_it_reaches(plain: Recipe, name: str, text: str, stages: list[str]) -> None:
    path = plain.folder / name
    before = path.read_text() if path.exists() else ""
    plain.write(name, before.replace("    pass\n", "") + text)
    # In a process of its own: this one has imported src already.
    ran = plain.run_alone()
    assert ran.returncode == 0, ran.stderr
    assert re.findall(r"DONE (\w+)", ran.stdout) == [*stages, "export"]


def test_a_further_test_set_costs_no_training(finished: Recipe) -> None:
    finished.edit(
        "conf/training.yaml", "  test: [", '  test: [{name: b, data_src_args: {manifest: "data/test.jsonl"}}, '
    )
    assert finished.stages_run_by() == ["infer", "measure", "export"]


def test_a_product_that_vanished_is_made_again(finished: Recipe) -> None:
    (shapes,) = finished.folder.glob("data/stats/*/valid/feats_shape")
    shapes.unlink()
    assert "valid/feats_shape is missing" in finished.plan()["collect_stats"]
    assert finished.stages_run_by("--stages", "collect_stats") == ["collect_stats"]
    assert finished.plan()["train"].startswith("done"), "the same bytes came out"


def test_force_redoes_the_named_stages(finished: Recipe) -> None:
    assert finished.plan("--force", "--stages", "infer") == {"infer": "to do: --force"}
    assert finished.stages_run_by("--force", "--stages", "infer") == ["infer"]
    assert (finished.folder / "exp/toy/greedy/unseen/hyp.scp").read_text().endswith(" True")
    assert finished.plan()["train"].startswith("done")
    assert re.match(r"to do: \S+hyp\.scp changed \(\d+ → \d+ bytes\)", finished.plan()["measure"])


def test_a_newer_package_with_equal_code_does_nothing_again(finished: Recipe) -> None:
    for path in finished.folder.rglob(".done/*.json"):
        record = json.loads(path.read_text())
        record["made_by"] = {"espnet3": "0.0.9", "commit": "a", "recipe": "b"}
        path.write_text(json.dumps(record))
    assert finished.stages_run_by() == ["export"]


def test_a_record_of_an_earlier_version_is_no_record(finished: Recipe) -> None:
    old = {"fingerprint": "f", "covered": {"seed": 1}, "after": {}, "seconds": 1.0, "finished": "2026-01-01"}
    (finished.folder / "exp/toy/.done/train.json").write_text(json.dumps(old))
    assert finished.plan()["train"] == "to do: not finished"


@pytest.mark.parametrize("content", ["", "[]", '{"schema_version": 2}', "{"], ids=["empty", "list", "other", "cut"])
def test_an_unreadable_record_is_no_record(finished: Recipe, content: str) -> None:
    (finished.folder / "exp/toy/.done/train.json").write_text(content)
    assert finished.plan()["train"] == "to do: not finished"


def test_a_stage_that_failed_is_not_done(finished: Recipe) -> None:
    finished.edit("conf/training.yaml", "model: {", "model: {fail: true, ")
    failed = finished.run_alone()
    assert failed.returncode == 1
    assert "Traceback" in failed.stderr
    assert "ValueError: no such layer" in failed.stderr
    assert finished.plan()["train"] == "to do: not finished"
    assert finished.plan()["collect_stats"].startswith("done")


def test_a_stage_stays_done_while_what_it_has_read_is_there(finished: Recipe) -> None:
    finished.edit("conf/training.yaml", "model: {", "model: {fail: true, ")
    assert finished.run_alone("--stages", "train").returncode == 1
    finished.edit("conf/training.yaml", "fail: true, ", "")
    assert finished.plan("--stages", "infer")["infer"].startswith("done")
    finished.write("exp/toy/averaged.safetensors", "half")
    assert "averaged.safetensors" in finished.plan("--stages", "infer")["infer"]


def test_warns_of_a_stage_that_was_started_and_never_finished(finished: Recipe) -> None:
    (finished.folder / "exp/toy/.done/train.json").unlink()
    said = "train is not asked for, but was started here and has not finished"
    assert said in finished.run("--stages", "infer").stdout
    assert said not in finished.run("--stages", "train", "infer").stdout


def test_warns_of_a_stage_that_is_out_of_date_but_not_asked_for(finished: Recipe) -> None:
    finished.edit("conf/training.yaml", "0.002", "0.001")
    assert (
        "train is not asked for, but has changed since it ran: optimizer.lr" in finished.run("--stages", "infer").stdout
    )

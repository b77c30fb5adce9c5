"""What run.py --dry_run shows."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from espnet3.pipeline.fingerprint import StageRun
from espnet3.pipeline.plan import Decision, Plan, explain, show_plan
from espnet3.systems.base.system import BaseSystem
from tests.recipe.toy_recipe import Recipe


def test_the_plan_says_what_there_is_and_does_nothing(recipe: Recipe) -> None:
    before = sorted(recipe.folder.rglob("*.*"))
    shown = recipe.run("--dry_run").stdout
    assert "create_dataset: to do: never run\n  configs  training_config\n  log      data/create_dataset.log" in shown
    assert "  reads    data/train.jsonl (missing)" in shown
    assert "  writes   exp/toy/greedy/unseen/*.scp (missing)" in shown
    assert "export: to do: always runs\n  configs  none\n" in shown
    assert [path for path in sorted(recipe.folder.rglob("*.*")) if "__pycache__" not in path.parts] == before


def test_a_long_list_of_files_is_cut(recipe: Recipe) -> None:
    files = ", ".join(f"noise/{number}.wav" for number in range(12))
    recipe.edit("conf/training.yaml", "model:", f"augment: [{{_target_: src.system.Part, files: [{files}]}}]\nmodel:")
    refused = recipe.run("--dry_run")
    assert refused.returncode == 66
    assert "  reads    noise/6.wav (missing)\n  reads    … 5 more\n" in refused.stdout
    assert "train: needs noise/11.wav, which does not exist; correct the path in the config" in refused.stderr


def test_the_plan_loads_nothing_heavy(finished: Recipe) -> None:
    finished.edit(
        "run.py",
        "main(args=args",
        "import atexit, sys\n    atexit.register(lambda: print(*sys.modules))\n    main(args=args",
    )
    loaded = finished.run_alone("--dry_run").stdout.splitlines()[-1].split()
    assert {"torch", "numpy", "lightning", "rich"}.isdisjoint(loaded)


def test_the_plan_is_a_table_on_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    system = BaseSystem({"exp_dir": "exp", "data_dir": str(tmp_path), "stats_dir": "stats"})
    show_plan(Plan(system, (decision("create_dataset"), decision("collect_stats", "lr: [a] → [b]"))))
    shown = capsys.readouterr().out
    assert "✓ writes" in shown
    assert "to do: lr: [a] → [b]" in " ".join(shown.split())
    assert "stats/collect_stats.log" in shown


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        ((), "done 2026-11-23 20:00:00 UTC"),
        (("a", "b"), "to do: a; b"),
        (("a", "b", "c", "d", "e", "f"), "to do: a; b; c; d; 2 more"),
    ],
    ids=["done", "to do", "many reasons"],
)
def test_says_done_or_why_not(reasons: tuple[str, ...], words: str) -> None:
    assert explain(decision("train", *reasons)) == words


def test_says_for_what_a_stage_waits() -> None:
    waiting = replace(decision("infer"), waits_for=("create_dataset", "train"))
    assert explain(waiting) == "runs if other files come out of create_dataset, train"
    assert not waiting.done


def test_says_where_what_is_there_is_kept() -> None:
    redone = replace(decision("train", "lr: 1 → 2", *"bcdef"), backup=Path("exp/a/checkpoints.1"))
    kept = "starts anew, the finished one is kept in exp/a/checkpoints.1"
    assert explain(redone) == f"to do: lr: 1 → 2; b; c; d; 2 more; {kept}"


def decision(stage: str, *reasons: str) -> Decision:
    return Decision(stage, StageRun(), reasons, finished="2026-11-23T20:00:00.123+00:00")

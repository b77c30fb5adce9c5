"""What run.py --dry_run shows."""

import time

from tests.utils.toy_recipe import Recipe


def test_the_plan_says_what_there_is_and_does_nothing(recipe: Recipe) -> None:
    before = sorted(recipe.folder.rglob("*.*"))
    shown = recipe.run("--dry_run").stdout
    assert "create_dataset: to do: never run\n  configs  training_config\n  log      data/create_dataset.log" in shown
    assert "  reads    data/train.jsonl (missing)" in shown
    assert "  writes   exp/toy/greedy/unseen (missing)" in shown
    assert "export: to do: always runs\n  configs  none\n" in shown
    assert [path for path in sorted(recipe.folder.rglob("*.*")) if "__pycache__" not in path.parts] == before


def test_the_plan_comes_in_a_second(finished: Recipe) -> None:
    def seconds() -> float:
        start = time.monotonic()
        assert finished.run_alone("--dry_run").returncode == 0
        return time.monotonic() - start

    assert min(seconds() for _ in range(4)) < 1.0


def test_the_plan_loads_nothing_heavy(finished: Recipe) -> None:
    finished.edit(
        "run.py",
        "main(args=args",
        "import atexit, sys\n    atexit.register(lambda: print(*sys.modules))\n    main(args=args",
    )
    loaded = finished.run_alone("--dry_run").stdout.splitlines()[-1].split()
    assert {"torch", "numpy", "lightning", "scipy", "rich", "hydra"}.isdisjoint(loaded)

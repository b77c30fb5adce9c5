"""Backups of earlier trainings are listed, and removed when they are named or old, and not before."""

import os
import time
from pathlib import Path

import pytest

from tests.recipe.toy_recipe import Recipe


@pytest.fixture
def with_backups(finished: Recipe) -> Recipe:
    """Two put-away trainings, one of them 40 days old."""
    for number, days in ((1, 40), (2, 3), (10, 1)):
        path = finished.write(f"exp/toy/checkpoints.{number}/last.ckpt", "x" * 2048)
        then = time.time() - days * 24 * 3600
        os.utime(path, (then, then))
    finished.write("exp/toy/checkpoints.old/last.ckpt", "a user's own")
    return finished


def left(recipe: Recipe) -> list[str]:
    return sorted(path.name for path in (recipe.folder / "exp/toy").glob("checkpoints.*"))


def answer(recipe: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, *names: str) -> tuple[int, str]:
    (tmp_path / "answer").write_text(text)
    with (tmp_path / "answer").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        done = recipe.run("--prune", *names)
    return done.returncode, done.stdout + done.stderr


def test_the_plan_lists_them_with_their_size(with_backups: Recipe) -> None:
    shown = with_backups.run("--dry_run").stdout
    assert "  backup   exp/toy/checkpoints.1 (2 KiB, 40 days old)\n" in shown
    assert shown.count("  backup   ") == 3


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        (["checkpoints.2"], ["checkpoints.2"]),
        (["exp/toy/checkpoints.1", "checkpoints.10"], ["checkpoints.1", "checkpoints.10"]),
        (["30d"], ["checkpoints.1"]),
        (["2d", "checkpoints.1"], ["checkpoints.1", "checkpoints.2"]),
        (["100d"], []),
    ],
)
def test_what_is_named_or_old_is_removed(
    with_backups: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, names: list[str], gone: list[str]
) -> None:
    before = left(with_backups)
    code, _ = answer(with_backups, monkeypatch, tmp_path, "y\n", *names)
    assert (code, left(with_backups)) == (0, [name for name in before if name not in gone])
    assert with_backups.stages_run_by() == ["export"]


@pytest.mark.parametrize("text", ["", "\n", "n\n", "what?\n"])
def test_nothing_is_removed_without_a_yes(
    with_backups: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str
) -> None:
    before = left(with_backups)
    code, said = answer(with_backups, monkeypatch, tmp_path, text, "checkpoints.1")
    assert (code, left(with_backups)) == (0, before)
    assert "Remove it? [y/N]" in said
    assert "nothing was removed" in said


@pytest.mark.parametrize("name", ["checkpoints", "checkpoints.3", "checkpoints.old", "..", "thirty days", "1.5d"])
def test_another_name_is_refused_with_those_that_there_are(
    with_backups: Recipe, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    before = left(with_backups)
    code, said = answer(
        with_backups, monkeypatch, tmp_path, "y\n", "checkpoints.1", f"./{name}" if name[0] == "-" else name
    )
    assert (code, left(with_backups)) == (78, before)
    assert "exp/toy/checkpoints.10 (2 KiB, 1 days old)" in said

"""Which commit a run says that it is of."""

import subprocess
from pathlib import Path

import pytest

from espnet3.runtime.versions import git_commit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("named", "said"),
    [
        pytest.param(None, "unknown", id="nothing is named"),
        pytest.param("", "unknown", id="an empty name"),
        pytest.param(COMMIT, COMMIT, id="an image's commit"),
        pytest.param(f"{COMMIT}-dirty", f"{COMMIT} (dirty)", id="an image of a tree with changes"),
    ],
)
def test_outside_of_a_checkout_the_image_s_commit_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None, said: str
) -> None:
    monkeypatch.delenv("ESPNET3_COMMIT", raising=False)
    if named is not None:
        monkeypatch.setenv("ESPNET3_COMMIT", named)
    assert git_commit(tmp_path) == said


def test_a_checkout_s_own_commit_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ESPNET3_COMMIT", COMMIT)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message", "Begin"], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert git_commit(tmp_path) == head

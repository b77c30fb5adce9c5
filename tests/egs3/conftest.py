"""The digits recipe, run once with a tiny model: what the tests of its runs start from."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.egs3.digits_run import STAGES, Digits, Done


@dataclass(frozen=True)
class Undisturbed:
    """One run of every stage, each in a process of its own."""

    after: dict[str, Digits]
    """How the recipe looked after a stage; "" before the first."""
    said: dict[str, Done]
    """What a stage's process printed, with the modules that it imported."""

    @property
    def finished(self) -> Digits:
        return self.after[STAGES[-1]]


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    place = tmp_path_factory.mktemp("digits")
    recipe = Digits.new(place / "digits/asr")  # as where it is disturbed: packs name their recipe
    run = Undisturbed({"": recipe.copy(place / "0/asr")}, {})
    for number, stage in enumerate(STAGES, 1):
        run.said[stage] = recipe.run("--stages", stage, python=("-X", "importtime"))
        run.after[stage] = recipe.copy(place / f"{number}/asr")
    return run


@pytest.fixture
def after(undisturbed: Undisturbed, tmp_path: Path) -> Callable[[str], Digits]:
    """A copy of the recipe as it was after a stage; "" before the first."""
    return lambda stage: undisturbed.after[stage].copy(tmp_path / "digits/asr")


@pytest.fixture
def finished(after: Callable[[str], Digits]) -> Digits:
    return after(STAGES[-1])

"""ESPNET3_FORCE from outside: a stage that is done starts over, and once only, however often its pod is replaced."""

import pytest

from tests.stages.conftest import Place


def test_a_repeated_attempt_goes_on_with_what_the_forced_one_began(place: Place) -> None:
    place.run_all()
    written = place.folder / "exp/toy/averaged.safetensors"
    place.run("train", ESPNET3_FORCE="train")
    assert written.read_text().endswith("True")
    # The first attempt never came to begin: its retry has to.
    place.run("train", ESPNET3_FORCE="train", ESPNET3_ATTEMPT="1")
    assert written.read_text().endswith("True")
    # It began, and was killed.
    (place.folder / "exp/toy/.done/train.json").unlink()
    place.run("train", ESPNET3_FORCE="train", ESPNET3_ATTEMPT="1")
    assert written.read_text().endswith("False")


def test_pods_of_one_wish_start_over_once(place: Place) -> None:
    place.run_all()
    written, done = place.folder / "exp/toy/averaged.safetensors", place.folder / "exp/toy/.done/train.json"
    wish = {"ESPNET3_FORCE": "train", "ESPNET3_IDEMPOTENCY_KEY": "first"}
    first = done.read_text()
    place.run("train", **wish)
    assert written.read_text().endswith("True")
    # It is done; the pod is replaced all the same, because its node was lost before it could tell.
    assert "already done" in place.run("train", **wish).out
    # It had begun, and the pod that replaces it, whose number is 0 again, goes on.
    done.unlink()
    place.run("train", **wish)
    assert written.read_text().endswith("False")
    # It was killed before it came to begin.
    done.write_text(first)
    place.run("train", **wish | {"ESPNET3_IDEMPOTENCY_KEY": "second"})
    assert written.read_text().endswith("True")


def test_a_wish_that_was_not_begun_is_still_one(place: Place) -> None:
    place.run_all()
    wish = {"ESPNET3_FORCE": "train", "ESPNET3_IDEMPOTENCY_KEY": "first"}
    done = place.folder / "exp/toy/.done/train.json"
    before = done.read_text()
    place.run("train", **wish)
    done.write_text(before)
    assert "DONE train" in place.run("train", **wish).out
    assert (place.folder / "exp/toy/averaged.safetensors").read_text().endswith("True")


@pytest.mark.parametrize("content", ["", "no JSON", "[]", "\0"])
def test_a_damaged_note_of_a_wish_is_none(place: Place, content: str) -> None:
    place.run_all()
    wish = {"ESPNET3_FORCE": "train", "ESPNET3_IDEMPOTENCY_KEY": "first"}
    place.run("train", **wish)
    note = next((place.folder / ".runs").glob("*/forced/train"))
    note.write_text(content)
    assert "DONE train" in place.run("train", **wish).out

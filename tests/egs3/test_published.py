"""The digits recipe from audio to a model that others find on the Hub: every stage, in one run."""

import re
from pathlib import Path

import pytest

from espnet3.components.data.scp import read_scp
from tests.egs3.digits_run import ALL_STAGES, REPO, TRAINING, Digits
from tests.egs3.published import assert_published
from tests.hub.fixtures import alone, hub
from tests.hub.server import HubServer

__all__ = ["alone", "hub"]
SPEAKS = """\
optimizer: {lr: 0.01}
model: {hidden_size: 64, projection_size: 64, num_layers: 1, channels: [8, 8, 16]}
trainer: {max_epochs: 24, keep_checkpoints: 2, log_every_n_steps: 2}
"""
"""A training of 20 seconds after which the model writes something; the tests' usual one stays silent."""


@pytest.mark.slow
def test_digits_go_through_all_stages_and_come_back_from_the_hub(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    recipe = Digits.new(tmp_path / "digits/asr")
    recipe.write("conf/tiny.yaml", re.sub("(?m)^(model|trainer): .*\n", "", TRAINING) + SPEAKS)
    recipe.publish()
    assert recipe.stages_run_by() == ALL_STAGES
    assert len(set(read_scp(recipe.folder / "exp/tiny/greedy/unseen/hyp.scp").values())) > 20
    assert_published(hub, recipe.folder / "exp/tiny")
    before = len(hub.requests)
    again = recipe.run()
    assert re.findall(r"^(\w+): already done", again.stdout, re.MULTILINE) == ALL_STAGES
    assert len(hub.requests) == before
    recipe.edit("conf/publication.yaml", REPO, "me/another")
    plan = recipe.plan()
    assert [stage for stage in ALL_STAGES if plan[stage].startswith("to do")] == ALL_STAGES[-4:]

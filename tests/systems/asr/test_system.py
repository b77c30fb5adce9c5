import subprocess
import sys
from pathlib import Path

import pytest

from espnet3.errors import ConfigError
from espnet3.pipeline.run import stages_of
from espnet3.systems.asr.config import ASRTrainingConfig
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.base.system import BaseSystem

ROOT = Path(__file__).parents[3]
HEAVY = ["torch", "lightning", "numpy", "soundfile", "sentencepiece", "rich"]


def test_adds_train_tokenizer_to_the_base_stages() -> None:
    assert set(stages_of(ASRSystem)) == {*stages_of(BaseSystem), "train_tokenizer"}
    assert "train_tokenizer" in ASRSystem.stage_specs["train"].after


def test_train_tokenizer_needs_the_training_config() -> None:
    with pytest.raises(ConfigError, match="train_tokenizer needs training_config"):
        ASRSystem().train_tokenizer()


def test_training_config_must_name_a_tokenizer() -> None:
    assert ASRSystem.config_models["training_config"] is ASRTrainingConfig
    assert ASRTrainingConfig.model_fields["tokenizer"].is_required()


LIGHT = ["espnet3.systems.asr.system", "espnet3.systems.asr.packing", "espnet3.recipe.cli"]


@pytest.mark.parametrize("module", LIGHT)
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(*(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

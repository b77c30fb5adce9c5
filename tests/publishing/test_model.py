"""The stage that uploads runs in an image of its own, which has neither torch nor what reads audio."""

import os
import subprocess
import sys
from pathlib import Path

from omegaconf import OmegaConf

from espnet3.systems.asr.system import ASRSystem

ROOT = Path(__file__).parents[2]
ABSENT = ["torch", "numpy", "soundfile", "sentencepiece", "onnxruntime", "jiwer"]


def test_a_pack_is_checked_and_handed_to_the_upload_without_what_made_it(experiment: tuple[Path, ASRSystem]) -> None:
    OmegaConf.save(experiment[1].publication_config, "publication.yaml")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({ABSENT}))\n"
        "from omegaconf import OmegaConf; from espnet3.systems.asr.system import ASRSystem\n"
        "ASRSystem(publication_config=OmegaConf.load('publication.yaml')).upload_model()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "upload_model.repo is not set: nothing is uploaded" in done.stderr

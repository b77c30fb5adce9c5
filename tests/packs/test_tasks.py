"""Which task a pack is of: one that is installed, found by its name, and nothing else that the name could lead to."""

import subprocess
import sys
from pathlib import Path

import pytest

from espnet3.errors import DataError
from espnet3.packs.tasks import installed, packing_around, packing_of

ROOT = Path(__file__).parents[2]
HEAVY = ["torch", "numpy", "soundfile", "sentencepiece", "huggingface_hub", "onnxruntime"]

NO_TASKS = [
    "",
    "asr",
    "os",
    "espnet3.systems.asr",
    "espnet3.systems.asr.packing",
    "../asr",
    "src.packing",
    "Automatic-Speech-Recognition",
    "image-classification",
]


@pytest.mark.parametrize("task", NO_TASKS)
def test_a_name_that_is_none_of_an_installed_task_is_refused(task: str) -> None:
    message = rf"^pack/meta\.json: task is '{task}', and espnet3 .* reads packs of .*automatic-speech-recognition"
    with pytest.raises(DataError, match=message):
        packing_of(task, Path("pack/meta.json"))


def test_each_task_has_a_name_of_its_own() -> None:
    names = [packing.task for packing in installed().values()]
    assert len(set(names)) == len(names)
    assert [packing_of(name, Path()).task for name in names] == names


AROUND = {
    "espnet3.systems.asr.system.ASRSystem": "asr",
    "espnet3.systems.asr": "asr",
    "espnet3.systems.base.system.BaseSystem": None,
    "espnet3.systems.nothing.system.System": None,
    "espnet3.systems": None,
    "src.espnet3.systems.asr.System": None,
    "src.system.System": None,
    "": None,
}


@pytest.mark.parametrize("target", AROUND)
def test_a_class_belongs_to_the_task_around_it(target: str) -> None:
    package = AROUND[target]
    assert packing_around(target) == (installed()[package] if package else None)


def test_finding_a_task_loads_nothing_heavy() -> None:
    code = (
        "import sys, espnet3.packs.loading; from espnet3.packs.tasks import installed; assert installed()\n"
        f"print(*(set({HEAVY}) & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

"""What reads packs and what speaks to the Hub know no task: neither by an import nor by a name in a text."""

import re
import tomllib
from pathlib import Path

import pytest

from espnet3.packs.tasks import installed

ROOT = Path(__file__).parents[2]
FILES = sorted(file for room in ("packs", "publishing") for file in (ROOT / "espnet3" / room).rglob("*.py"))
TASKS = installed()
CONTRACT = "publishing and packs name no task"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_file_names_no_task_and_no_class_of_one(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    own = {target for packing in TASKS.values() for target in packing.allowed}
    names = {*TASKS, *(packing.task for packing in TASKS.values()), *(target.rpartition(".")[2] for target in own)}
    assert [name for name in sorted(names) if re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE)] == []


def test_the_contract_on_imports_lists_every_task() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    [contract] = [each for each in contracts if each["name"] == CONTRACT]
    assert set(contract["forbidden_modules"]) == {f"espnet3.systems.{name}" for name in TASKS}

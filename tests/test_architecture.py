"""docs/architecture.md says of the rooms of espnet3 what the import contracts and the docstrings say."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "espnet3"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
FOLDERS = sorted(file.parent for file in LIBRARY.rglob("__init__.py"))
WIDTH = 34


def floors() -> list[list[str]]:
    """The rooms of each layer of the library, from the highest to the lowest."""
    (layers,) = [each["layers"] for each in CONTRACTS if "espnet3.systems" in each.get("layers", [])]
    return [re.findall(r"espnet3\.(\w+)", layer) for layer in layers]


def picture() -> str:
    rows = [f"│ {'   '.join(rooms):<{WIDTH}} │" for rooms in floors()]
    between = f"\n├{'─' * (WIDTH + 2)}┤\n"
    return f"┌{'─' * (WIDTH + 2)}┐\n{between.join(rows)}\n└{'─' * (WIDTH + 2)}┘"


def docstring(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def first_sentence(file: Path) -> str:
    found = re.match(r".+?\.(?=\s|$)", " ".join(docstring(file).split()))
    return found[0] if found else ""


def rooms() -> dict[str, Path]:
    """Each folder and module right below espnet3, with the file that has its docstring."""
    folders = {folder.name: folder / "__init__.py" for folder in FOLDERS if folder.parent == LIBRARY}
    return folders | {file.name: file for file in LIBRARY.glob("*.py") if file.name != "__init__.py"}


def table() -> str:
    rows = (f"| [{name}](../espnet3/{name}) | {first_sentence(file)} |" for name, file in sorted(rooms().items()))
    return "\n".join(rows)


def test_the_picture_is_that_of_the_contract() -> None:
    assert f"```\n{picture()}\n```" in PAGE, f"make it:\n{picture()}"


def test_every_other_room_is_named_below_it() -> None:
    above = sorted(rooms().keys() - {file_name(room) for floor in floors() for room in floor})
    line = f"Above them: {', '.join(f'`{name}`' for name in above)}."
    assert line in PAGE.splitlines(), f"make it: {line}"


def file_name(room: str) -> str:
    return room if room in rooms() else f"{room}.py"


def test_every_room_has_the_sentence_of_its_docstring() -> None:
    assert f"|---|---|\n{table()}\n\n" in PAGE, f"make it:\n{table()}"


@pytest.mark.parametrize("value", ["Args", "Run", "Plan", "Results"])
def test_a_value_and_what_makes_it_are_where_the_page_says(value: str) -> None:
    row = re.search(rf"^\| \[`{value}`\]\(\.\./(\S+)\) \| .+ \| (.+) \|$", PAGE, re.MULTILINE)
    assert row
    tree = ast.parse((ROOT / row[1]).read_text(encoding="utf-8"))
    makers = [node for node in tree.body if isinstance(node, ast.FunctionDef) and f"`{node.name}`" in row[2]]
    assert value in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    assert len(makers) == row[2].count("`") / 2
    assert {ast.unparse(maker.returns) for maker in makers if maker.returns} == {value}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_a_folder_is_explained_in_at_most_five_lines(folder: Path) -> None:
    text = docstring(folder / "__init__.py")
    assert first_sentence(folder / "__init__.py")
    assert len(text.splitlines()) <= 5


def test_every_folder_has_an_explanation() -> None:
    assert {file.parent for file in LIBRARY.rglob("*.py")} == set(FOLDERS)

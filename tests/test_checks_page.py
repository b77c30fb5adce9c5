"""docs/checks.md names everything that the code it links refuses or warns of, and nothing that the code does not say.

A section links the modules that it is about after `In the code:`. The last column of its tables has the messages, `…`
for what varies: a piece of each message is enough. Whoever adds a check adds a row; a new section needs no change here.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from espnet3.components.data.invisible import JOINER, KINDS, LONE_MARK

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Section:
    """A section of the page."""

    title: str
    modules: tuple[str, ...]
    messages: tuple[str, ...]


def sections() -> list[Section]:
    found = []
    for part in PAGE.split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        code = re.search(r"^In the code: (.+?)\n\n", text, re.MULTILINE | re.DOTALL)
        links = re.findall(r"\]\(\.\./([^)]+)\)", code[1]) if code else []
        rows = re.findall(r"^\|.*\| `([^|]+)` \|$", text, re.MULTILINE)
        found.append(Section(title, tuple(links), tuple(rows)))
    return found


def sentences(module: str) -> set[str]:
    """The messages of a module: every full sentence among its texts, `…` for each value, docstrings apart."""
    tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    texts = {
        _text(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in docstrings | inner
    }
    return {text for text in texts if re.search(r"\w .*[.?] ?…?$", text)}


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return re.sub(r"%[sd]", "…", node.value) if isinstance(node.value, str) else ""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


SECTIONS = [section for section in sections() if section.modules]
each_section = pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)


def test_there_are_sections() -> None:
    assert {section.title for section in sections()} == {section.title for section in SECTIONS} != set()


@each_section
def test_every_message_of_the_code_is_on_the_page(section: Section) -> None:
    said = set().union(*map(sentences, section.modules))
    lacking = sorted(text for text in said if not any(piece in text for piece in section.messages))
    assert not lacking, f"docs/checks.md, {section.title}: add a row for each of\n" + "\n".join(lacking)


@each_section
def test_every_message_on_the_page_is_in_the_code(section: Section) -> None:
    said = set().union(*map(sentences, section.modules))
    assert [piece for piece in section.messages if not any(piece in text for text in said)] == []


def test_every_kind_of_invisible_character_is_named() -> None:
    assert [kind for kind in (*KINDS, JOINER, LONE_MARK) if kind not in PAGE] == []


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []

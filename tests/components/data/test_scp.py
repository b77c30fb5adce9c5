"""SCP files give back what was written, and say where they are malformed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.components.data.scp import read_scp, scp_line, write_scp
from espnet3.errors import DataError

ids = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1).filter(
    lambda text: not any(character.isspace() for character in text)
)
values = st.text(st.characters(codec="utf-8", exclude_characters="\n\r"))


@given(st.dictionaries(ids, values))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, content: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("scp") / "hyp.scp"
    write_scp(path, content)
    assert read_scp(path) == content
    assert list(read_scp(path)) == sorted(content)


def test_lines_are_sorted_and_an_empty_value_keeps_its_space(tmp_path: Path) -> None:
    write_scp(tmp_path / "hyp.scp", {"b": "two words", "a": "", "C": "é"})
    assert (tmp_path / "hyp.scp").read_bytes() == "C é\na \nb two words\n".encode()


def test_a_missing_space_is_an_empty_value(tmp_path: Path) -> None:
    (tmp_path / "hyp.scp").write_text("a\nb  x \n")
    assert read_scp(tmp_path / "hyp.scp") == {"a": "", "b": " x "}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a x\n\nb y\n", r"hyp\.scp:2: '' does not start with an utterance id", id="empty line"),
        pytest.param(b"a x\n y\n", r"hyp\.scp:2: ' y' does not start", id="no id"),
        pytest.param(b"a x\nb y\na z\n", r"hyp\.scp:3: 'a' was listed before", id="twice"),
        pytest.param(b"a\tx\n", r"hyp\.scp:1: 'a\\tx' does not start", id="tab"),
        pytest.param(b"a x\nb \xff\n", r"hyp\.scp:2: this is not UTF-8", id="encoding"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "hyp.scp").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_scp(tmp_path / "hyp.scp")


def test_a_missing_file_says_which_stage_writes_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run infer first"):
        read_scp(tmp_path / "hyp.scp")


@pytest.mark.parametrize(
    ("utt_id", "value", "message"),
    [
        pytest.param("", "x", "cannot be an utterance id", id="empty id"),
        pytest.param("a b", "x", "cannot be an utterance id", id="space in the id"),
        pytest.param("a\u2003b", "x", "cannot be an utterance id", id="wide space in the id"),
        pytest.param("a", "x\ny", "holds a line break", id="newline"),
        pytest.param("a", "x\r", "holds a line break", id="carriage return"),
    ],
)
def test_what_cannot_stand_in_a_line_is_refused(tmp_path: Path, utt_id: str, value: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        scp_line(utt_id, value)
    with pytest.raises(DataError, match=message):
        write_scp(tmp_path / "hyp.scp", {utt_id: value})
    assert not (tmp_path / "hyp.scp").exists()

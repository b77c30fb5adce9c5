"""Tables of a corpus: what is kept to the letter, and what is refused with file and line."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.components.data.faults import KEPT, SHOWN, Faults, ManyFaults
from espnet3.components.data.table import Row, read_table
from espnet3.components.data.text_checks import LONGEST_TEXT
from espnet3.errors import DataError

COLUMNS = ("utt_id", "text")
HEAD = "utt_id\ttext\n"
UNFIT = set('"\t\n\r\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029')
"""What a field cannot have, or only where it is not taken for quoting."""


def table(folder: Path, content: str | bytes) -> Path:
    path = folder / "corpus.tsv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(folder: Path, content: str | bytes) -> list[Row]:
    return list(read_table(table(folder, content), COLUMNS))


KEPT_TEXTS = {
    "quotes inside": 'she said "no" and left',
    "a quote at the beginning": '"no" she said',
    "quotes around": '"no," she said, "no"',
    "a lone quote": '5" of snow',
    "a quote at the end": 'snow of 5"',
    "two quotes inside": 'a ""strange"" word',
    "apostrophes": "rock 'n' roll",
    "a backslash": r"C:\temp \t \n",
    "commas and semicolons": "one, two; three",
    "a hash": "# one",
    "spaces around": "  one  ",
    "nothing": "",
    "letters of any script": "नमस्ते שלום 日本語",
    "what nobody sees": "a\u200bb\ufeff",
}


@pytest.mark.parametrize("text", KEPT_TEXTS.values(), ids=KEPT_TEXTS)
@pytest.mark.parametrize("end", ["\n", "\r\n", ""], ids=["LF", "CRLF", "none at the end"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "BOM"])
def test_fields_are_kept_to_the_letter(tmp_path: Path, text: str, end: str, mark: str) -> None:
    head = HEAD if not end else f"utt_id\ttext{end}"
    [row] = rows(tmp_path, f"{mark}{head}u0\t{text}{end}")
    assert (row["utt_id"], row["text"], row.place) == ("u0", text, f"{tmp_path}/corpus.tsv:2")


@given(
    st.text(
        st.characters(codec="utf-8", exclude_characters="\t\n\r\0\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=20
    )
)
def test_any_text_without_tabs_and_line_breaks_is_kept_or_refused(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    folder = tmp_path_factory.mktemp("table")
    found = taken(folder, f"{HEAD}u0\t{text}\n")
    assert found == text or ('""' in text and found.startswith(f"{folder}/corpus.tsv:2: a field is quoted as in CSV"))


def taken(folder: Path, content: str) -> str:
    """The text of a table of one row, or why it is refused."""
    try:
        [row] = rows(folder, content)
    except ManyFaults as error:
        return error.faults[0]
    return row["text"]


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_no_text_that_csv_writes_is_taken_for_another(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter="\t", lineterminator="\n").writerows([COLUMNS, ("u0", text)])
    folder = tmp_path_factory.mktemp("table")
    found = taken(folder, file.getvalue())
    as_written = text.removesuffix("\r")  # before a line end, it is part of that
    assert found == as_written or (set(text) & UNFIT and found.startswith(f"{folder}/corpus.tsv:"))


BAD_ROWS = {
    "a tab": ("u1\tone\ttwo", "the row has 3 fields, the header 2: 'u1\\tone\\ttwo'. A tab parts fields"),
    "a tab at the end": ("u1\tone\t", "the row has 3 fields, the header 2"),
    "too few fields": ("u1", "the row has 1 of 2 fields: 'u1'. Is there a line break"),
    "carriage return": (
        "u1\tone\rtwo",
        "a field holds a line break or a NUL: 'u1\\tone\\rtwo'. Write a space instead.",
    ),
    "vertical tab": ("u1\tone\x0btwo", "a field holds a line break"),
    "line separator": ("u1\tone\u2028two", "a field holds a line break"),
    "next line": ("u1\tone\x85two", "a field holds a line break"),
    "NUL": ("u1\tone\0two", "a field holds a line break or a NUL"),
    "quoted as csv does": ('u1\t"she said ""no"""', "a field is quoted as in CSV, its quotation marks doubled: '\"she"),
    "an empty field of csv": ('u1\t""', "a field is quoted as in CSV"),
    "a megabyte": (f"u1\t{'x' * 1_000_000}", f"a field has 1000000 characters; at most {LONGEST_TEXT} are taken"),
    "Latin-1": ("u1\ttrés".encode("latin-1"), "is not UTF-8 (byte 6 of the line is 0xe9). Save the file as UTF-8."),
    "cut in a character": ("u1\té".encode()[:-1], "is not UTF-8 (byte 4 of the line is 0xc3)"),
}


@pytest.mark.parametrize(("line", "message"), BAD_ROWS.values(), ids=BAD_ROWS)
def test_a_row_that_cannot_be_taken_is_refused_with_its_line(tmp_path: Path, line: str | bytes, message: str) -> None:
    raw = line if isinstance(line, bytes) else line.encode()
    with pytest.raises(DataError) as caught:
        rows(tmp_path, f"{HEAD}u0\tzero\n".encode() + raw + b"\nu2\ttwo\n")
    assert f"{tmp_path}/corpus.tsv:3: {message}" in str(caught.value)
    assert len(str(caught.value)) < 500
    assert caught.value.exit_code == 66


def test_all_faulty_rows_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ManyFaults, match="The data has 3 problems:") as caught:
        rows(tmp_path, HEAD + "u0\tzero\nu1\nu2\ttwo\nu3\ta\tb\n\nu4\ta\rb\n")
    assert [fault.partition(": ")[0].rpartition(":")[2] for fault in caught.value.faults] == ["3", "5", "7"]


BAD_TABLES = {
    "nothing": ("", "corpus.tsv:1: no column utt_id, text; the columns are utt_id, text, and the first line is ''."),
    "no header": ("u0\tone\n", "corpus.tsv:1: no column utt_id, text"),
    "a column less": ("utt_id\taudio\n", "corpus.tsv:1: no column text"),
    "a space in a name": ("utt_id\t text\n", "corpus.tsv:1: no column text"),
    "commas": ("utt_id,text\nu0,one\n", "Columns are parted by tabs"),
    "quoted names": ('"utt_id"\t"text"\n', "corpus.tsv:1: no column utt_id, text"),
    "a column twice": ("utt_id\ttext\ttext\n", "corpus.tsv:1: there are several columns 'text'"),
    "UTF-16": (f"{HEAD}u0\tone\n".encode("utf-16"), "corpus.tsv:1: is UTF-16, not UTF-8. Save the file as UTF-8."),
    "UTF-16 BE": (b"\xfe\xff" + HEAD.encode("utf-16-be"), "corpus.tsv:1: is UTF-16, not UTF-8."),
    "UTF-16 without mark": (HEAD.encode("utf-16-le"), "corpus.tsv:1: is UTF-16 or UTF-32, or no text at all"),
    "UTF-32": (HEAD.encode("utf-32"), "corpus.tsv:1: is UTF-32, not UTF-8."),
    "Latin-1 names": ("utt_id\ttext\tsprécher\n".encode("latin-1"), "corpus.tsv:1: is not UTF-8"),
    "old Mac line ends": ("utt_id\ttext\ru0\tone\r", "a carriage return alone ends none."),
    "gzip": (b"\x1f\x8b\x08\x08abc", "corpus.tsv:1: is not UTF-8"),
}


@pytest.mark.parametrize(("content", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_what_is_no_such_table_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        rows(tmp_path, content)
    assert message in str(caught.value)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no table .*gone\.tsv"):
        list(read_table(tmp_path / "gone.tsv", COLUMNS))
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        list(read_table(tmp_path, COLUMNS))


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("espnet3.components.data.text_lines.LONGEST_LINE", 1 << 20)
    with pytest.raises(DataError, match=r"corpus\.tsv:2: the line has more than 1 MiB"):
        rows(tmp_path, HEAD + "x" * (3 << 20))


def test_other_columns_and_empty_lines_do_no_harm(tmp_path: Path) -> None:
    found = rows(tmp_path, "text\tage\tutt_id\n\none\t7\tu0\n \ntwo\t\tu1\n")
    assert [(row["utt_id"], row["text"], row.place[-1]) for row in found] == [("u0", "one", "3"), ("u1", "two", "5")]


def test_a_field_of_a_few_values_is_held_to_them(tmp_path: Path) -> None:
    [row] = rows(tmp_path, f"{HEAD}dev\tone\n")
    assert row.choice("utt_id", ("dev", "test")) == "dev"
    with pytest.raises(DataError, match=r"^utt_id is 'dev'; use train, test\.$"):
        row.choice("utt_id", ("train", "test"))


def used(faults: Faults, path: Path) -> Iterator[str]:
    with faults:
        for row in read_table(path, COLUMNS, faults):
            with faults.told_at(row.place):
                if row["text"] == "bad":
                    raise DataError("first sentence.\nsecond sentence.")
                yield row["utt_id"]


def test_faults_of_rows_and_of_what_they_name_come_together(tmp_path: Path) -> None:
    path = table(tmp_path, HEAD + "u0\tbad\nu1\nu2\tgood\nu3\tbad\n")
    found = used(Faults(), path)
    assert next(found) == "u2"
    with pytest.raises(ManyFaults) as caught:
        next(found)
    assert [fault.removeprefix(f"{path}:") for fault in caught.value.faults] == [
        "2: first sentence.",
        "2: second sentence.",
        "3: the row has 1 of 2 fields: 'u1'. Is there a line break in a transcript, or a field left out? An empty "
        "field has its tab all the same.",
        "5: first sentence.",
        "5: second sentence.",
    ]


def gather(faults: list[str], last: Exception | None = None) -> None:
    with Faults() as gathered:
        for fault in faults:
            gathered.add(fault)
        if last is not None:
            raise last


def test_faults_without_number_are_counted_and_not_kept() -> None:
    many = [f"corpus.tsv:{number}: is wrong." for number in range(KEPT + 5)]
    with pytest.raises(
        ManyFaults, match=rf"has {KEPT + 5} problems:\n(.*\n){{{SHOWN}}}\.\.\. and {KEPT + 5 - SHOWN} more\."
    ) as caught:
        gather(many)
    assert list(caught.value.faults) == many[:KEPT]


def test_another_error_is_not_hidden_and_a_data_error_joins() -> None:
    with pytest.raises(ZeroDivisionError):
        gather(["a: is wrong."], ZeroDivisionError())
    with pytest.raises(ManyFaults, match=r"2 problems:\na: is wrong\.\nthe end\."):
        gather(["a: is wrong."], DataError("the end."))
    with pytest.raises(DataError, match=r"^the end\.$"):
        gather([], DataError("the end."))
    gather([])

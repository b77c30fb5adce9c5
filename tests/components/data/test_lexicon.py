"""The lexicon tokenizer: what counts as a pronunciation, and what is refused."""

from pathlib import Path

import pytest

from espnet3.components.data.lexicon import LexiconTokenizer
from espnet3.errors import DataError

LEXICON = ";;; a comment\n\nONE  W AH N\nONE(2)  HH W AH N\nTWO\tT UW\n"


def test_a_text_becomes_the_phones_of_first_pronunciations(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text(LEXICON)
    tokenizer = LexiconTokenizer(str(path))
    assert tokenizer.symbols == ["<blank>", "<unk>", "AH", "N", "T", "UW", "W"]
    assert len(tokenizer) == 7
    assert tokenizer.encode("TWO NINE ONE") == [4, 5, 1, 6, 2, 3]


def test_words_and_phones_are_known_in_any_unicode_form(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "caf\u00e9 k a f e\u0303\r\nna\u0308h n e\u0303\r\n".encode())
    tokenizer = LexiconTokenizer(str(path))
    assert tokenizer.symbols == ["<blank>", "<unk>", "a", "f", "k", "n", "\u1ebd"]
    assert tokenizer.encode("cafe\u0301 n\u00e4h") == tokenizer.encode("caf\u00e9 na\u0308h") == [4, 2, 3, 6, 5, 6]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("ONE W AH N\nCAF\u00c9 K\n".encode("latin-1"), r"lexicon\.txt:2: is not UTF-8 \(byte 4 of the line is 0xc9"),
        ("ONE W AH N\n".encode("utf-16"), r"lexicon\.txt:1: is UTF-16"),
        ("ONE W AH N\n".encode("utf-16-be"), r"lexicon\.txt:1: is UTF-16 or UTF-32"),
    ],
    ids=["Latin-1", "UTF-16", "UTF-16 without a mark"],
)
def test_another_encoding_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        LexiconTokenizer(str(path))


def test_a_missing_lexicon_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt.*Run create_dataset"):
        LexiconTokenizer(str(tmp_path / "nowhere.txt"))


def test_a_word_without_phones_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text("ONE W AH N\nTWO\n")
    with pytest.raises(DataError, match=r"lexicon\.txt:2: the word TWO has no phones"):
        LexiconTokenizer(str(path))

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


def test_a_missing_lexicon_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.txt.*Run create_dataset"):
        LexiconTokenizer(str(tmp_path / "nowhere.txt"))


def test_a_word_without_phones_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text("ONE W AH N\nTWO\n")
    with pytest.raises(DataError, match=r"lexicon\.txt:2: the word TWO has no phones"):
        LexiconTokenizer(str(path))

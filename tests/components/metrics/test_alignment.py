"""Alignments by hand: tokens, kinds of edits, counts, rates."""

import math

import pytest

from espnet3.components.metrics.alignment import EditCounts, align

CASES = {
    "all right": ("one two three", "one two three", (3, 0, 0, 0)),
    "substitution": ("one two three", "one four three", (2, 1, 0, 0)),
    "deletion": ("one two three", "one three", (2, 0, 1, 0)),
    "insertion": ("one three", "one two three", (2, 0, 0, 1)),
    "all kinds": ("a b c d", "a x c d d e", (3, 1, 0, 2)),
    "empty hypothesis": ("one two", "", (0, 0, 2, 0)),
    "empty reference": ("", "one two", (0, 0, 0, 2)),
    "both empty": ("", "", (0, 0, 0, 0)),
    "white space of any kind": (" one\ttwo\u3000three ", "one  two three", (3, 0, 0, 0)),
    "not English": ("мир и война", "мир война", (2, 0, 1, 0)),
}


@pytest.mark.parametrize(("ref", "hyp", "expected"), CASES.values(), ids=CASES.keys())
def test_counts_of_words(ref: str, hyp: str, expected: tuple[int, int, int, int]) -> None:
    assert align([ref], [hyp], "words")[0].counts == EditCounts(*expected)


@pytest.mark.parametrize(
    ("ref", "hyp", "expected"),
    [
        ("ab c", "abc", (3, 0, 1, 0)),
        ("東京都", "東京", (2, 0, 1, 0)),
        ("e\u0301", "e", (1, 0, 1, 0)),
        ("\u00e9", "e", (0, 1, 0, 0)),
        ("", "ab", (0, 0, 0, 2)),
    ],
    ids=["a space is a character", "ideographs", "a combining mark is a character", "code points", "empty"],
)
def test_counts_of_characters(ref: str, hyp: str, expected: tuple[int, int, int, int]) -> None:
    assert align([ref], [hyp], "characters")[0].counts == EditCounts(*expected)


def test_edits_hold_both_texts_in_order() -> None:
    edits = align(["one two three four"], ["one six three four five"], "words")[0].edits

    assert [edit.kind for edit in edits] == ["equal", "substitute", "equal", "equal", "insert"]
    assert [edit.ref for edit in edits if edit.ref] == ["one", "two", "three", "four"]
    assert [edit.hyp for edit in edits if edit.hyp] == ["one", "six", "three", "four", "five"]


def test_each_text_is_aligned_to_its_own() -> None:
    assert [found.counts.errors for found in align(["a", "", "b c"], ["a", "x", "c"], "words")] == [0, 1, 1]
    assert align([], [], "words") == []


def test_rates() -> None:
    assert EditCounts(hits=1, insertions=3).rate == 300
    assert EditCounts().rate == 0
    assert math.isinf(EditCounts(insertions=1).rate)
    assert EditCounts(1, 1, 1, 1) + EditCounts(1, 0, 0, 2) == EditCounts(2, 1, 1, 3)

"""Tables, the listing of errors, the ranking of utterances and confusions."""

import pytest
from rich.cells import cell_len

from espnet3.components.data.manifest import Utterance
from espnet3.components.metrics.alignment import Alignments, align
from espnet3.components.metrics.confusions import Confusion, most_frequent
from espnet3.components.metrics.scored_set import ScoredSet
from espnet3.components.metrics.tables import aligned_lines, error_listing, tsv

TEXTS = {"u1": ("one two", "one two"), "u2": ("one two", "one ten"), "u3": ("four", "for five"), "u4": ("", "um")}
SPEAKERS = {"u1": "ann", "u2": "ann", "u3": "bob", "u4": "eve"}


@pytest.fixture
def scored() -> ScoredSet:
    refs, hyps = ({utt_id: pair[side] for utt_id, pair in TEXTS.items()} for side in (0, 1))
    utterances = {u: Utterance(u, "a.wav", 0.0, 1.5, 8000, refs[u], SPEAKERS[u], "sha256:0") for u in TEXTS}
    found = align(list(refs.values()), list(hyps.values()), "words")
    alignments = Alignments("wer", "words", dict(zip(TEXTS, found, strict=True)))
    return ScoredSet("test", utterances, {}, (alignments,), {"ref": refs, "hyp": hyps})


def test_speakers(scored: ScoredSet) -> None:
    assert tsv(scored.by_speaker()) == (
        "speaker\tutterances\tseconds\twer\twer_errors\twer_reference\n"
        "ann\t2\t3.00\t25.00\t1\t4\n"
        "bob\t1\t1.50\t200.00\t2\t1\n"
        "eve\t1\t1.50\tinf\t1\t0\n"
    )


def test_utterances(scored: ScoredSet) -> None:
    lines = tsv(scored.by_utterance()).splitlines()

    assert lines[0] == "utt_id\tspeaker\tseconds\twer\twer_errors\twer_reference\tref\thyp"
    assert lines[2] == "u2\tann\t1.50\t50.00\t1\t2\tone two\tone ten"
    assert len(lines) == 5


def test_a_tab_inside_a_text_is_quoted() -> None:
    assert tsv([{"ref": "a\tb"}]) == 'ref\n"a\tb"\n'
    assert tsv([]) == ""


def test_the_worst_come_first_and_right_ones_never(scored: ScoredSet) -> None:
    assert scored.worst(10) == ["u4", "u3", "u2"]
    assert scored.worst(1) == ["u4"]
    assert scored.worst(0) == []


def test_without_a_metric_that_aligns_there_are_no_worst() -> None:
    assert ScoredSet("test", {}, {"bleu": 30.0}).worst(3) == []


def test_listing(scored: ScoredSet) -> None:
    text = error_listing(scored, scored.alignments[0])

    assert text.startswith("test: 3 of 4 utterances have errors (wer)\n")
    assert "\nu2 (ann): 1 S, 0 D, 0 I in 2 words\nREF: one two\nHYP: one ten\n         S\n" in text
    assert "u1" not in text


@pytest.mark.parametrize(
    ("ref", "hyp"),
    [("東京 に 行く", "東 に 行った よ"), ("cafe\u0301 noir", "cafe noir"), ("a b", "apple b c")],
    ids=["wide", "combining", "narrow"],
)
def test_columns_line_up_whatever_the_script(ref: str, hyp: str) -> None:
    found = align([ref], [hyp], "words")[0]
    above, below, _ = aligned_lines(found)

    assert cell_len(above) == cell_len(below)
    assert above.rstrip().split()[0] == "REF:"


def test_long_utterances_are_broken_into_lines() -> None:
    text = " ".join(["word"] * 60)
    lines = list(aligned_lines(align([text], [text + " end"], "words")[0], width=80))

    assert len(lines) > 3
    assert len(lines) % 3 == 0
    assert all(cell_len(line) <= 80 for line in lines)


def test_spaces_among_characters_can_be_seen() -> None:
    lines = list(aligned_lines(align(["a b"], ["ab"], "characters")[0]))

    assert lines[:2] == ["REF: a ␣ b", "HYP: a * b"]


def test_confusions() -> None:
    found = align(["a b", "a c", "b"], ["x b", "x", "b y"], "words")
    alignments = Alignments("wer", "words", dict(zip("123", found, strict=True)))

    assert most_frequent(alignments, "substitute", 5) == [Confusion("a", "x", 2)]
    assert most_frequent(alignments, "delete", 5) == [Confusion("c", "", 1)]
    assert most_frequent(alignments, "insert", 5) == [Confusion("", "y", 1)]
    assert most_frequent(alignments, "insert", 0) == []

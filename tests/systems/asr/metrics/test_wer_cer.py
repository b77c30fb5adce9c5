"""WER and CER: values by hand, intervals by speaker, normalisers, what has no rate."""

from pathlib import Path

import pytest

from espnet3.components.metrics.base_metric import MetricContext
from espnet3.components.metrics.edit_rate import EditRate
from espnet3.errors import ConfigError, DataError
from espnet3.systems.asr.metrics.cer import CER
from espnet3.systems.asr.metrics.wer import WER

DATA = {
    "ref": {"a1": "one two three", "a2": "four five", "b1": "", "b2": "six seven eight nine ten"},
    "hyp": {"a1": "one too three", "a2": "four five", "b1": "oh", "b2": "six eight nine ten"},
}
SPEAKERS = {"a1": "a", "a2": "a", "b1": "b", "b2": "b"}
CONTEXT = MetricContext("unseen", Path(), SPEAKERS, seed=1)


def test_wer_by_hand() -> None:
    assert WER()(DATA, CONTEXT) == {
        "wer": 30.0,
        "wer_hits": 8,
        "wer_substitutions": 1,
        "wer_deletions": 1,
        "wer_insertions": 1,
        "wer_reference_words": 10,
        "wer_utterances": 4,
        "wer_sentence_errors": 3,
        "wer_sentence_error_rate": 75.0,
        "wer_normaliser": "none",
        "wer_low": 20.0,
        "wer_high": 40.0,
        "wer_interval": "95 % bootstrap over 2 speakers",
    }


def test_cer_by_hand() -> None:
    values = CER()({"ref": {"u": "kitten"}, "hyp": {"u": "sitting"}}, CONTEXT)

    assert values["cer"] == 50.0
    assert (values["cer_substitutions"], values["cer_insertions"], values["cer_reference_characters"]) == (2, 1, 6)
    assert "cer_low" not in values


def test_one_speaker_is_drawn_by_utterance() -> None:
    context = MetricContext("unseen", Path(), dict.fromkeys(SPEAKERS, "a"))

    assert WER()(DATA, context)["wer_interval"] == "95 % bootstrap over 4 utterances"


def test_unknown_speakers_count_as_their_own() -> None:
    assert WER()(DATA, MetricContext("unseen", Path()))["wer_interval"] == "95 % bootstrap over 4 speakers"


def test_case_and_punctuation_count_unless_normalised() -> None:
    data = {"ref": {"u": "Hello, World."}, "hyp": {"u": "hello world"}}

    assert WER()(data, CONTEXT)["wer"] == 100.0
    values = WER(normaliser="basic")(data, CONTEXT)
    assert (values["wer"], values["wer_normaliser"]) == (0.0, "basic")


def test_a_name_of_its_own() -> None:
    values = WER(normaliser="basic", name="wer_basic")(DATA, CONTEXT)

    assert all(key.startswith("wer_basic") for key in values)


@pytest.mark.parametrize("hyp", ["", "something"], ids=["nothing said", "something said"])
def test_without_reference_words_there_is_no_rate(hyp: str) -> None:
    with pytest.raises(DataError, match="wer of unseen: every reference is empty"):
        WER()({"ref": {"u": ""}, "hyp": {"u": hyp}}, CONTEXT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"normaliser": "wisper"}, "no text normaliser 'wisper'"), ({"name": " "}, "name is empty")],
    ids=["normaliser", "name"],
)
def test_bad_settings(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CER(**arguments)


def test_rates_over_100() -> None:
    assert WER()({"ref": {"u": "a"}, "hyp": {"u": "b c d"}}, CONTEXT)["wer"] == 300.0


@pytest.mark.parametrize("normaliser", ["none", "basic"])
@pytest.mark.parametrize("metric", [WER, CER])
def test_a_lost_character_is_right_nowhere(
    metric: type[EditRate], normaliser: str, caplog: pytest.LogCaptureFixture
) -> None:
    data = {"ref": {"u": "one caf\ufffd"}, "hyp": {"u": "one caf\ufffd"}}
    result = metric(normaliser)(data, CONTEXT)
    assert result[f"{metric.default_name}_substitutions"] == 1
    assert f"{metric.default_name} of unseen: 1 references hold U+FFFD" in caplog.text
    found = metric(normaliser).evaluate(data, CONTEXT).alignments
    assert found is not None
    wrong = [edit for edit in found.utterances["u"].edits if edit.kind != "equal"]
    assert [(edit.ref[-1], edit.hyp[-1]) for edit in wrong] == [("\ufffd", "\ufffd")]


def test_an_unknown_character_is_no_punctuation() -> None:
    assert WER("basic")({"ref": {"u": "hello"}, "hyp": {"u": "hello \ufffd"}}, CONTEXT)["wer"] == 100.0


@pytest.mark.parametrize(
    ("own", "configured", "rate"),
    [(None, (), 100.0), (None, ("tr",), 0.0), ("tr", (), 0.0), (["en", "tr"], (), 0.0), ("en", ("tr",), 100.0)],
)
def test_the_language_is_the_metrics_own_or_that_of_the_config(
    own: str | list[str] | None, configured: tuple[str, ...], rate: float
) -> None:
    context = MetricContext("unseen", Path(), languages=configured)
    data = {"ref": {"u": "I\u015eIK"}, "hyp": {"u": "\u0131\u015f\u0131k"}}
    values = WER("basic", language=own)(data, context)
    assert values["wer"] == rate
    named = (own,) if isinstance(own, str) else own or configured
    assert values.get("wer_language", "") == ", ".join(named)
    assert "wer_language" not in WER(language=own)(data, context)

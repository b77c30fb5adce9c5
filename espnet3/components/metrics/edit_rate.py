"""Error rates from alignments: what WER and CER share.

A System's metrics derive from `EditRate` and say what a token is. Values are in percent, with counts and a bootstrap
interval; the alignments go along, for `measure` to make tables and the report of.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from espnet3.components.metrics.alignment import UNREADABLE, Alignments, EditCounts, Unit, align
from espnet3.components.metrics.base_metric import BaseMetric, Inputs, MetricContext, MetricResult, Values
from espnet3.components.metrics.bootstrap import percentile_interval
from espnet3.components.metrics.normalisers import get_normaliser
from espnet3.errors import ConfigError, DataError

log = logging.getLogger(__name__)

DECIMALS = 4
"""Of percentages in metrics.json."""


class EditRate(BaseMetric):
    """100 * (substitutions + deletions + insertions) / reference tokens, over a whole test set.

    Args:
        normaliser: name of the text normaliser, see `espnet3.components.metrics.normalisers`.
        name: of the rate and prefix of the other values; to be given where one config has two of a kind.
        language: code of the texts' language, such as `tr`, or a list of them, for case folding; the config's
            (`language` of the metrics or the training config) where left out.

    Raises:
        ConfigError: there is no such normaliser, or the name is empty.
    """

    unit: ClassVar[Unit]
    default_name: ClassVar[str]

    def __init__(
        self, normaliser: str = "none", name: str | None = None, language: str | Sequence[str] | None = None
    ) -> None:
        self.normaliser = normaliser
        self.languages = (language,) if isinstance(language, str) else None if language is None else tuple(language)
        get_normaliser(normaliser)
        self.name = self.default_name if name is None else name
        if not self.name.strip():
            raise ConfigError(f"{type(self).__name__}: name is empty; leave it out, or give one such as 'wer_basic'.")

    def __call__(self, data: Inputs, context: MetricContext) -> Values:
        """The rate under its name; the counts, the interval and the normaliser under names that start with it."""
        return self.evaluate(data, context).values

    def evaluate(self, data: Inputs, context: MetricContext) -> MetricResult:
        """The rate and what it is made of.

        Raises:
            DataError: no reference holds a token, so that there is no rate.
        """
        refs, hyps = data["ref"], data["hyp"]
        languages = context.languages if self.languages is None else self.languages
        normalise = get_normaliser(self.normaliser, languages)
        found = align(
            [normalise(text) for text in refs.values()], [normalise(hyps[utt_id]) for utt_id in refs], self.unit
        )
        if lost := sum(UNREADABLE in text for text in refs.values()):
            log.warning(
                "%s of %s: %d references hold U+FFFD, for characters that were lost; each counts as an error.",
                *(self.name, context.test_name, lost),
            )
        alignments = Alignments(self.name, self.unit, dict(zip(refs, found, strict=True)))
        if alignments.counts().reference == 0:
            raise DataError(
                f"{self.name} of {context.test_name}: every reference is empty (normaliser {self.normaliser!r}), so "
                "there is no error rate. Correct the texts of the test set, or leave this metric out."
            )
        parts = self._counts(alignments) | _interval(alignments, context)
        if languages and self.normaliser != "none":
            parts["language"] = ", ".join(languages)
        values = {self.name: _percent(alignments.counts().rate)} | {
            f"{self.name}_{key}": value for key, value in parts.items()
        }
        return MetricResult(values, alignments)

    def _counts(self, alignments: Alignments) -> Values:
        total = alignments.counts()
        wrong = sum(alignment.counts.errors > 0 for alignment in alignments.utterances.values())
        return {
            "hits": total.hits,
            "substitutions": total.substitutions,
            "deletions": total.deletions,
            "insertions": total.insertions,
            f"reference_{self.unit}": total.reference,
            "utterances": len(alignments.utterances),
            "sentence_errors": wrong,
            "sentence_error_rate": _percent(100 * wrong / len(alignments.utterances)),
            "normaliser": self.normaliser,
        }


def speaker_counts(alignments: Alignments, speakers: Mapping[str, str]) -> dict[str, EditCounts]:
    """{speaker: counts}, sorted by speaker; an utterance whose speaker is not known is a speaker of its own."""
    summed: dict[str, EditCounts] = {}
    for utt_id, alignment in alignments.utterances.items():
        speaker = speakers.get(utt_id) or utt_id
        summed[speaker] = summed.get(speaker, EditCounts()) + alignment.counts
    return dict(sorted(summed.items()))


def _interval(alignments: Alignments, context: MetricContext) -> Values:
    """95 % by speaker; by utterance where there is one speaker only; nothing where there is one utterance only."""
    groups, unit = list(speaker_counts(alignments, context.speakers).values()), "speakers"
    if len(groups) < 2:
        groups, unit = [alignment.counts for alignment in alignments.utterances.values()], "utterances"
    errors, totals = np.array([(each.errors, each.reference) for each in groups]).T
    interval = percentile_interval(errors, totals, context.seed)
    if interval is None:
        return {}
    low, high = (_percent(end) for end in interval)
    return {"low": low, "high": high, "interval": f"95 % bootstrap over {len(groups)} {unit}"}


def _percent(value: float) -> float:
    return round(value, DECIMALS)

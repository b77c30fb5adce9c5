"""Which numbers of metrics.json a model card shows, and of which kind they are. `card` calls it.

What is an error rate is told by the task's `CardText.rates`; every other number keeps its name.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from espnet3.systems.base.packing import Rate

Scores = Mapping[str, Any]
"""Of a test set, by metric."""
Rates = Mapping[str, Rate]
_OF_A_RATE = re.compile(
    r"_(?:low|high|interval|utterances|hits|substitutions|deletions|insertions|reference_\w+|sentence_errors|"
    r"sentence_error_rate|normaliser|language)$"
)
"""What `EditRate` writes beside a rate, under names that begin with the rate's."""


def shown(scores: Scores, rates: Rates) -> dict[str, str | None]:
    """The numbers of a test set that a card shows, and of which kind they are: error rates first."""
    kinds = {name: _kind(name, scores, rates) for name, value in scores.items() if _is_shown(name, value, scores)}
    order = [*rates, None]
    return dict(sorted(kinds.items(), key=lambda item: (order.index(item[1]), item[0])))


def kinds_of(results: Mapping[str, Scores], rates: Rates) -> list[str]:
    """The kinds of error rates that all test sets have together."""
    found = {kind for scores in results.values() for kind in shown(scores, rates).values()}
    return [kind for kind in rates if kind in found]


def label(name: str, kind: str | None) -> str:
    """What a card calls a metric."""
    if kind is None:
        return name
    return kind.upper() if name == kind else f"{kind.upper()} ({name})"


def rows(test_set: str, scores: Scores, rates: Rates) -> Iterator[str]:
    """The lines of a test set in the card's table: its name, utterances, metric, value and interval."""
    for name, kind in shown(scores, rates).items():
        low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
        interval = f"{low:.2f} to {high:.2f}" if low is not None and high is not None else ""
        utterances = scores.get(f"{name}_utterances", "")
        value = f"{scores[name]}" if isinstance(scores[name], int) else f"{scores[name]:.2f}"
        yield f"| {test_set} | {utterances} | {label(name, kind)} | {value} | {interval} |"


def _is_shown(name: str, value: Any, scores: Scores) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    part = _OF_A_RATE.search(name)
    return part is None or name[: part.start()] not in scores


def _kind(name: str, scores: Scores, rates: Rates) -> str | None:
    for kind, rate in rates.items():
        if f"{name}_reference_{rate.unit}" in scores:
            return kind
    return next((kind for kind in rates if re.match(rf"{re.escape(kind)}(?![a-z])", name.lower())), None)

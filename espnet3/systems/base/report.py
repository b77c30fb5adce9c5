"""The report: one HTML file that shows what an experiment reached and what it gets wrong.

`measure` calls `render_report`. The file holds everything itself (tables, pictures, audio), runs no script, loads
nothing, and can be read in the dark and by keyboard. Numbers are those of `ScoredSet`; how it looks is report.html.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from espnet3.components.data.dataset import SpeechDataset
from espnet3.components.metrics.alignment import Alignment, Alignments, Kind
from espnet3.components.metrics.base_metric import Value
from espnet3.components.metrics.confusions import Confusion, most_frequent
from espnet3.components.metrics.scored_set import ScoredSet
from espnet3.errors import DataError
from espnet3.systems.base.config import MetricsConfig
from espnet3.systems.base.report_media import audio_url, duration_chart, loss_chart

TEMPLATE = "report.html"
CONFUSIONS = 12
"""So many of each kind are shown."""
SPEAKERS = 40
"""So many speakers are shown, those with the highest rate; speakers.tsv has all."""
KINDS: Mapping[Kind, str] = {"substitute": "Substitutions", "delete": "Deletions", "insert": "Insertions"}


@dataclass(frozen=True)
class Score:
    """A row of the results."""

    test: str
    name: str
    rate: float
    low: float | None
    high: float | None
    values: Mapping[str, Value]
    """What belongs to the rate, without its name as prefix."""


@dataclass(frozen=True)
class Sound:
    """An utterance with errors, and how it sounds."""

    utt_id: str
    speaker: str
    seconds: float
    alignment: Alignment
    audio: str
    """A `data:` URL."""
    note: str
    """Why there is no audio, or that it was cut; often empty."""

    @property
    def ref(self) -> str:
        """The reference as text."""
        return " ".join(edit.ref for edit in self.alignment.edits if edit.ref)

    @property
    def hyp(self) -> str:
        """The hypothesis as text."""
        return " ".join(edit.hyp for edit in self.alignment.edits if edit.hyp)


@dataclass(frozen=True)
class Details:
    """What the report tells about one test set, by its first metric that aligns."""

    test: str
    metric: str
    unit: str
    confusions: Mapping[str, Sequence[Confusion]]
    speakers: Sequence[Mapping[str, Any]]
    speaker_count: int
    sounds: Sequence[Sound]


def render_report(settings: MetricsConfig, scored: Sequence[ScoredSet], test_sets: Mapping[str, SpeechDataset]) -> str:
    """The whole HTML document.

    Raises:
        DataError: a timing.json is damaged.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        title=settings.exp_tag,
        inference=Path(settings.inference_dir).name,
        scores=[score for each in scored for score in scores_of(each)],
        others={each.name: other for each in scored if (other := other_values(each))},
        timings={each.name: timing for each in scored if (timing := _timing(settings, each.name))},
        charts=[chart for chart in (loss_chart(settings.exp_dir), duration_chart(scored)) if chart],
        details=[
            _details(settings, each, each.alignments[0], test_sets[each.name]) for each in scored if each.alignments
        ],
    )


def scores_of(scored: ScoredSet) -> list[Score]:
    """A row for each metric that aligns."""
    rows = []
    for alignments in scored.alignments:
        prefix = f"{alignments.name}_"
        own = {key.removeprefix(prefix): value for key, value in scored.values.items() if key.startswith(prefix)}
        own["reference"] = own.get(f"reference_{alignments.unit}", 0)
        low, high = (float(own[end]) if end in own else None for end in ("low", "high"))
        rows.append(Score(scored.name, alignments.name, float(scored.values[alignments.name]), low, high, own))
    return rows


def other_values(scored: ScoredSet) -> dict[str, Value]:
    """The scores of the metrics that do not align."""
    names = [alignments.name for alignments in scored.alignments]
    known = (*names, *(f"{name}_" for name in names))
    return {
        key: value
        for key, value in scored.values.items()
        if key not in names and not key.startswith(known[len(names) :])
    }


def _timing(settings: MetricsConfig, test_name: str) -> dict[str, Any]:
    path = Path(settings.inference_dir) / test_name / "timing.json"
    try:
        timing: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}). Run infer again.") from None
    return timing


def _details(settings: MetricsConfig, scored: ScoredSet, alignments: Alignments, dataset: SpeechDataset) -> Details:
    speakers = _ranked_speakers(scored, alignments.name)
    places = {utt_id: index for index, utt_id in enumerate(scored.utterances)}
    return Details(
        test=scored.name,
        metric=alignments.name,
        unit=alignments.unit,
        confusions={title: most_frequent(alignments, kind, CONFUSIONS) for kind, title in KINDS.items()},
        speakers=speakers[:SPEAKERS],
        speaker_count=len(speakers),
        sounds=[
            _sound(scored, alignments.utterances[utt_id], dataset, places[utt_id], utt_id)
            for utt_id in scored.worst(settings.worst_utterances)
        ],
    )


def _ranked_speakers(scored: ScoredSet, metric: str) -> list[dict[str, str | int | float]]:
    """Rows of the table of speakers, the highest rate first, with `bar`: percent of the highest rate."""
    rows = scored.by_speaker()
    highest = max((float(row[metric]) for row in rows if math.isfinite(float(row[metric]))), default=0.0) or 1.0
    rows = [row | {"bar": min(100.0, 100 * float(row[metric]) / highest)} for row in rows]
    return sorted(rows, key=lambda row: (-float(row[metric]), str(row["speaker"])))


def _sound(scored: ScoredSet, alignment: Alignment, dataset: SpeechDataset, index: int, utt_id: str) -> Sound:
    utterance = scored.utterances[utt_id]
    audio, note = audio_url(dataset, index)
    return Sound(utt_id, utterance.speaker, utterance.duration, alignment, audio, note)

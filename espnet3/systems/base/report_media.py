"""The pictures and the sound of the report, as text that can stand inside HTML.

`report` calls these. Each gives an empty string where there is nothing to show: a report without a loss curve or with
unreadable audio is still a report.
"""

import base64
import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from markupsafe import Markup

from espnet3.components.charts import Panel, Series, histogram, line_chart
from espnet3.components.data.dataset import SpeechDataset
from espnet3.components.metrics.scored_set import ScoredSet
from espnet3.errors import DataError

LONGEST = 30.0
"""Seconds of an utterance that the report plays: it holds the audio itself, and is to stay small enough to send."""


def loss_chart(exp_dir: str | None) -> Markup:
    """The losses in `<exp_dir>/metrics.csv`, over the steps."""
    path = Path(exp_dir or ".") / "metrics.csv"
    if exp_dir is None or not path.is_file():
        return Markup("")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.endswith("/loss")] if rows and "step" in rows[0] else []
    series = [_series(name, rows) for name in names]
    return Markup(line_chart("Training", [Panel("loss", series, log=True)], "step")) if series else Markup("")  # noqa: S704


def duration_chart(scored: Sequence[ScoredSet]) -> Markup:
    """How long the utterances of the test sets are."""
    groups = {each.name: [utterance.duration for utterance in each.utterances.values()] for each in scored}
    return Markup(histogram("Durations", groups, "seconds", "% of utterances"))  # noqa: S704


def audio_url(dataset: SpeechDataset, index: int) -> tuple[str, str]:
    """The audio of an utterance as a `data:` URL (FLAC), and a note where it is not whole."""
    import soundfile

    try:
        sample = dataset[index]
        audio, rate = np.asarray(sample["audio"]), int(sample["sample_rate"])
    except DataError as error:
        return "", f"The audio cannot be read: {error}"
    kept = audio[: round(LONGEST * rate)]
    file = io.BytesIO()
    soundfile.write(file, kept, rate, format="FLAC", subtype="PCM_16")
    note = f"The first {LONGEST:.0f} seconds." if len(kept) < len(audio) else ""
    return f"data:audio/flac;base64,{base64.b64encode(file.getvalue()).decode('ascii')}", note


def _series(name: str, rows: Sequence[dict[str, str]]) -> Series:
    points = [(float(row["step"]), float(row[name])) for row in rows if row["step"] and row[name]]
    return Series(name, [step for step, _ in points], [value for _, value in points])

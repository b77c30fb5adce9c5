"""A test set with everything that was measured on it: what the tables, the listing and the report are made of."""

from collections.abc import Mapping
from dataclasses import dataclass

from espnet3.components.data.manifest import Utterance
from espnet3.components.metrics.alignment import Alignments
from espnet3.components.metrics.base_metric import Values
from espnet3.components.metrics.edit_rate import speaker_counts


@dataclass(frozen=True)
class ScoredSet:
    """What `measure` knows about one test set."""

    name: str
    utterances: Mapping[str, Utterance]
    """By id, in the order of the test set."""
    values: Values
    """Of all metrics, as in metrics.json."""
    alignments: tuple[Alignments, ...] = ()
    """One for each metric that aligns, in the order of the config."""
    texts: Mapping[str, Mapping[str, str]] | None = None
    """The inputs of the first metric that aligns: {"ref": {utt_id: text}, "hyp": {utt_id: text}}."""

    @property
    def speakers(self) -> dict[str, str]:
        """{utt_id: speaker}."""
        return {utt_id: utterance.speaker for utt_id, utterance in self.utterances.items()}

    def worst(self, count: int) -> list[str]:
        """Ids of the utterances with the most errors, by rate, then by number; none that is right."""
        if not self.alignments:
            return []
        counts = {utt_id: alignment.counts for utt_id, alignment in self.alignments[0].utterances.items()}
        wrong = [utt_id for utt_id, each in counts.items() if each.errors]
        return sorted(wrong, key=lambda utt_id: (-counts[utt_id].rate, -counts[utt_id].errors, utt_id))[:count]

    def by_speaker(self) -> list[dict[str, str | int | float]]:
        """A row for each speaker: `speaker`, `utterances`, `seconds`, then each metric's rate, errors and tokens."""
        rows: dict[str, dict[str, str | int | float]] = {}
        for utt_id, utterance in self.utterances.items():
            speaker = utterance.speaker or utt_id
            row = rows.setdefault(speaker, {"speaker": speaker, "utterances": 0, "seconds": 0.0})
            row["utterances"] = int(row["utterances"]) + 1
            row["seconds"] = float(row["seconds"]) + utterance.duration
        for alignments in self.alignments:
            name = alignments.name
            for speaker, counts in speaker_counts(alignments, self.speakers).items():
                rows[speaker] |= {
                    name: counts.rate,
                    f"{name}_errors": counts.errors,
                    f"{name}_reference": counts.reference,
                }
        return [rows[speaker] for speaker in sorted(rows)]

    def by_utterance(self) -> list[dict[str, str | int | float]]:
        """A row for each utterance: `utt_id`, `speaker`, `seconds`, each metric's columns, and the texts."""
        return [self._utterance_row(utt_id) for utt_id in self.utterances]

    def _utterance_row(self, utt_id: str) -> dict[str, str | int | float]:
        utterance = self.utterances[utt_id]
        row: dict[str, str | int | float] = {
            "utt_id": utt_id,
            "speaker": utterance.speaker,
            "seconds": utterance.duration,
        }
        for alignments in self.alignments:
            counts, name = alignments.utterances[utt_id].counts, alignments.name
            row |= {name: counts.rate, f"{name}_errors": counts.errors, f"{name}_reference": counts.reference}
        return row | {key: values[utt_id] for key, values in (self.texts or {}).items()}

"""What a metric is, and what it is given.

`measure` builds the metrics that a config names by `_target_` and calls `evaluate`. A metric of one's own derives from
`BaseMetric` and implements `__call__`; one that aligns texts derives from `espnet3.components.metrics.edit_rate`.
For reading SCP files and datasets, see `measure`.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from espnet3.components.metrics.alignment import Alignments

Value = float | int | str
Values = dict[str, Value]
Inputs = Mapping[str, Mapping[str, str]]
"""{input: {utt_id: value}}; every input has the same utterances, in the order of the test set."""


@dataclass(frozen=True)
class MetricContext:
    """What a metric may want to know beside its inputs."""

    test_name: str
    output_dir: Path
    """`<inference_dir>/<test_name>`: it exists, and a metric may write files of its own there."""
    speakers: Mapping[str, str] = field(default_factory=dict)
    """{utt_id: speaker}."""
    seed: int = 0
    """Of everything random."""
    languages: tuple[str, ...] = ()
    """Codes of the texts' languages, as far as the config names them."""


@dataclass(frozen=True)
class MetricResult:
    """What a metric found out about a test set."""

    values: Values
    """Go to metrics.json. Percentages are written as percentages: 7.4, not 0.074."""
    alignments: Alignments | None = None
    """Behind the tables of utterances and speakers, the listing of errors and the report's confusions."""


class BaseMetric(ABC):
    """Scores a test set: `class MyMetric(BaseMetric)`, and `_target_: ....MyMetric` in conf/metrics.yaml."""

    inputs: ClassVar[tuple[str, ...]] = ("ref", "hyp")
    """The inputs that it needs; `inputs:` in the YAML says where each comes from."""

    @abstractmethod
    def __call__(self, data: Inputs, context: MetricContext) -> Values:
        """The scores by name; names are unique over all metrics of a config."""

    def evaluate(self, data: Inputs, context: MetricContext) -> MetricResult:
        """The scores, with alignments where the metric has them."""
        return MetricResult(self(data, context))

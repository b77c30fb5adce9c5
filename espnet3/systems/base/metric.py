"""The measure stage: hypotheses and references to scores, tables and a report.

Knows no task and loads no torch: the metrics that the config names compare what infer wrote with the test sets. Writes
`<inference_dir>/metrics.json` and `report.html`, and for each test set `utterances.tsv`, `speakers.tsv` and
`errors.txt`. Speeds are up to infer (timing.json) and stand in the report only, so that scores compare byte by byte.
"""

import json
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from espnet3.components.data.dataset import SpeechDataset
from espnet3.components.data.dataset_reference import load_test_sets
from espnet3.components.metrics.base_metric import BaseMetric, MetricContext, MetricResult, Values
from espnet3.components.metrics.scored_set import ScoredSet
from espnet3.components.metrics.tables import error_listing, tsv
from espnet3.config.instantiate import build
from espnet3.errors import ConfigError, DataError
from espnet3.runtime.files import remove_leftovers, write_text
from espnet3.runtime.leases import lease
from espnet3.systems.base.config import MetricReference, MetricsConfig, read_config
from espnet3.systems.base.metric_inputs import read_inputs, read_utterances

log = logging.getLogger(__name__)


def measure(config: DictConfig | dict[str, Any]) -> None:
    """Score every test set under `inference_dir`.

    Raises:
        ConfigError: a setting is wrong, a metric cannot be built, or two metrics give the same name.
        DataError: outputs of infer are missing, or have other utterances than their test set.
    """
    settings = read_config(MetricsConfig, config, "metrics_config")
    metrics = [_build(reference, f"metrics_config.metrics.{i}") for i, reference in enumerate(settings.metrics)]
    test_sets = load_test_sets(settings.dataset.test, Path(settings.recipe_dir), "metrics_config.dataset.test")
    directory = Path(settings.inference_dir)
    if not directory.is_dir():
        raise DataError(f"{directory} does not exist. The infer stage writes it: run infer first.")
    with lease(directory):
        remove_leftovers(directory)
        scored = [_score(settings, name, dataset, metrics) for name, dataset in test_sets.items()]
        for each in scored:
            _write_tables(each, directory / each.name)
        _write_report(settings, scored, test_sets)
        write_text(directory / "metrics.json", metrics_json({each.name: each.values for each in scored}))


def metrics_json(scores: Mapping[str, Values]) -> str:
    """The same text for the same scores: keys sorted, two spaces, a line end."""
    return json.dumps(scores, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _build(reference: MetricReference, key: str) -> BaseMetric:
    metric = build(reference.metric, f"{key}.metric")
    if not isinstance(metric, BaseMetric):
        raise ConfigError(
            f"{key}.metric._target_: {reference.metric['_target_']} is not a metric; derive it from "
            "espnet3.components.metrics.base_metric.BaseMetric."
        )
    if lacking := [name for name in metric.inputs if name not in reference.inputs]:
        raise ConfigError(
            f"{key}.inputs lacks {', '.join(lacking)}; write dataset:<column>, or <key> for <key>.scp of the inference."
        )
    return metric


def _score(settings: MetricsConfig, name: str, dataset: SpeechDataset, metrics: Sequence[BaseMetric]) -> ScoredSet:
    utterances = read_utterances(name, dataset)
    folder = Path(settings.inference_dir) / name
    speakers = {key: each.speaker for key, each in utterances.items()}
    context = MetricContext(name, folder, speakers, settings.seed, tuple(settings.language))
    values: Values = {}
    aligned: list[tuple[MetricResult, dict[str, dict[str, str]]]] = []
    for number, (metric, reference) in enumerate(zip(metrics, settings.metrics, strict=True)):
        key = f"metrics_config.metrics.{number}"
        data = read_inputs(reference.inputs, utterances, folder, f"{key}.inputs")
        result = metric.evaluate(data, context)
        values |= _checked(result.values, values, f"{key} ({type(metric).__name__})")
        if result.alignments is not None:
            aligned.append((result, data))
    log.info("%s: %s", name, ", ".join(f"{key} {value}" for key, value in values.items() if f"{key}_low" in values))
    alignments = tuple(result.alignments for result, _ in aligned if result.alignments is not None)
    return ScoredSet(name, utterances, values, alignments, aligned[0][1] if aligned else None)


def _checked(values: Mapping[str, Any], earlier: Values, key: str) -> Values:
    """Plain numbers and texts under new names."""
    checked: Values = {}
    for name, value in values.items():
        plain = value.item() if hasattr(value, "item") else value
        if not isinstance(plain, float | int | str) or (isinstance(plain, float) and not math.isfinite(plain)):
            raise ConfigError(f"{key}: {name} is {value!r}; a metric gives finite numbers and texts.")
        if name in earlier:
            raise ConfigError(
                f"{key}: another metric gives {name} too; give one of them a name of its own (name: ...)."
            )
        checked[name] = plain
    return checked


def _write_tables(scored: ScoredSet, folder: Path) -> None:
    write_text(folder / "utterances.tsv", tsv(scored.by_utterance()))
    write_text(folder / "speakers.tsv", tsv(scored.by_speaker()))
    if scored.alignments:
        write_text(folder / "errors.txt", error_listing(scored, scored.alignments[0]))


def _write_report(settings: MetricsConfig, scored: Sequence[ScoredSet], test_sets: Mapping[str, SpeechDataset]) -> None:
    from espnet3.systems.base.report import render_report

    write_text(Path(settings.inference_dir) / "report.html", render_report(settings, scored, test_sets))

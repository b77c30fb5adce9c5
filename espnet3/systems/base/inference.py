"""The infer stage: test sets to named outputs, one SCP file for each.

Knows no task and imports no torch: the model that the config names turns samples into outputs, in whichever process
works. Spreading the work and keeping what is finished is done by `espnet3.parallel`; scores are up to measure.
"""

import logging
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from espnet3.components.data.artifacts import artifact_writer
from espnet3.components.data.dataset import SpeechDataset
from espnet3.components.data.dataset_reference import load_test_sets
from espnet3.components.data.scp import is_utt_id, write_scp
from espnet3.errors import ConfigError, DataError
from espnet3.parallel.runner import Runner
from espnet3.parallel.sharded import PARTIAL, leased_partials, run_shard
from espnet3.parallel.threads import threads_each
from espnet3.pipeline.fingerprint import stage_inputs
from espnet3.pipeline.settings import fingerprint_of
from espnet3.pipeline.shard import current_shard
from espnet3.runtime.files import remove, replacing_dir
from espnet3.systems.base.config import InferenceConfig, read_config
from espnet3.systems.base.inference_provider import InferenceProvider
from espnet3.systems.base.inference_timing import timing_of

log = logging.getLogger(__name__)

PLACES = ("data_dir", "inference_dir", "recipe_dir")
"""Keys of the inference config on which no output depends."""


def infer(config: DictConfig | dict[str, Any]) -> None:
    """Decode every test set into `inference_dir/<test set>`, or a shard of it (`espnet3.parallel.sharded`).

    Goes on where an interrupted run with the same model, data and config stopped.

    Raises:
        ConfigError: a setting is wrong; a test set's name is missing or used twice; the model lacks an output key.
        DataError: a test set is empty, an utterance cannot be read, or the model is missing or damaged.
        TryAgain: a worker process died, or shards are missing.
    """
    settings = read_config(InferenceConfig, config, "inference_config")
    check_outputs(settings)
    test_sets = load_test_sets(settings.dataset.test, Path(settings.recipe_dir), "inference_config.dataset.test")
    utterances = {name: utterance_ids(name, dataset) for name, dataset in test_sets.items()}
    with leased_partials(settings.inference_dir) as partials:
        runners = [make_runner(settings, name, work_fingerprint(config, ids)) for name, ids in utterances.items()]
        if run_shard(runners, settings.parallel.shards, partials):
            for runner in runners:
                write_test_set(settings, runner)
            remove(partials)


def check_outputs(settings: InferenceConfig) -> None:
    """Find faults of `output_keys` and `output_artifacts` before any work.

    Raises:
        ConfigError: there is no key, one is not a file name, or an artifact belongs to no key or has no writer.
    """
    keys = settings.output_keys
    if not keys or not all(is_utt_id(key) and "/" not in key and not key.startswith(".") for key in keys):
        raise ConfigError(f"inference_config.output_keys must list names of outputs, such as [hyp]; given: {keys}.")
    if strangers := [key for key in settings.output_artifacts if key not in keys]:
        raise ConfigError(
            f"inference_config.output_artifacts has {', '.join(strangers)}, which output_keys ({', '.join(keys)}) "
            "lacks. Name it in both."
        )
    for key, given in settings.output_artifacts.items():
        artifact_writer(key, given)


def utterance_ids(name: str, dataset: SpeechDataset) -> list[str]:
    """The ids of a test set in its order.

    Raises:
        DataError: there are none, or one is there twice.
    """
    ids = [dataset.utterance(index).utt_id for index in range(len(dataset))]
    if not ids:
        raise DataError(f"The test set {name} has no utterances. Run create_dataset, or correct dataset.test.")
    if twice := [utt_id for utt_id, count in Counter(ids).items() if count > 1]:
        raise DataError(f"The test set {name} has {', '.join(twice[:5])} more than once; utterance ids must be unique.")
    return ids


def work_fingerprint(config: DictConfig | dict[str, Any], ids: list[str]) -> str:
    """One hash of all that a test set's outputs depend on: the stage and the utterances."""
    inputs = stage_inputs(config, without=PLACES)
    return fingerprint_of({"stage": inputs.fingerprint, "utterances": ids})


def make_runner(settings: InferenceConfig, test_set: str, fingerprint: str) -> Runner:
    """What runs, or runs a shard of, one test set."""
    # A container that does a shard has it to itself.
    workers = 1 if current_shard() else min(settings.parallel.workers, settings.parallel.shards)
    threads = threads_each(settings.num_threads, workers)
    folder = Path(settings.inference_dir) / PARTIAL / test_set
    provider = InferenceProvider(settings, test_set, threads)
    runner = Runner(provider, folder, fingerprint, label=f"infer {test_set}", workers=workers)
    provider.files = runner.kept
    return runner


def write_test_set(settings: InferenceConfig, runner: Runner) -> None:
    """Write the test set's folder from the finished batches."""
    provider = runner.provider
    assert isinstance(provider, InferenceProvider)
    results = runner.results()
    folder = Path(settings.inference_dir) / provider.test_set
    for key in settings.output_artifacts:
        with replacing_dir(folder / key) as temporary:
            for file in (runner.kept / key).iterdir():
                _link(file, temporary / file.name)
    for key in settings.output_keys:
        values = {utt_id: record[key] for result in results for utt_id, record in result["records"].items()}
        write_scp(folder / f"{key}.scp", values)
    remove_others(folder, settings.output_keys)
    timing = timing_of(results, float(provider.durations.sum()), runner.workers)
    timing.write(folder / "timing.json")
    log.info("%s: %s", provider.test_set, timing)


def remove_others(folder: Path, keys: list[str]) -> None:
    """Remove the SCP files and artifacts of keys that are no longer asked for: they are of another run."""
    for scp in folder.glob("*.scp"):
        if scp.stem not in keys:
            remove(scp)
            remove(scp.with_suffix(""))


def _link(file: Path, target: Path) -> None:
    """Hard links cost nothing, and keep a repeat possible; not every volume has them."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)

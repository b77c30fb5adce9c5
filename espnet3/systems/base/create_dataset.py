"""The stage create_dataset: runs the dataset builders that a config names, then checks what they made.

`BaseSystem.create_dataset` calls it. A killed run goes on where it stopped, a second run does nothing but check, and of
two processes that build the same dataset the later one wins. How the audio was when it was checked is kept in an index
beside each manifest (`espnet3.components.data.audio_index`). What a builder does is up to the recipe; how it is
configured is told by `espnet3.systems.base.build_job`.
"""

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from espnet3.components.data.audio_index import ManifestState
from espnet3.components.data.audio_index_writer import EntrySorter, write_index
from espnet3.components.data.dataset_reference import check_test_names, load_dataset
from espnet3.components.data.faults import SHOWN, ManyFaults, problem_list
from espnet3.components.data.validation import ManifestReport, Problem, check_manifest, check_splits
from espnet3.config.sections import DataConfig, DatasetReference, read_config
from espnet3.errors import ConfigError, DataError
from espnet3.runtime.files import remove, remove_leftovers, write_text
from espnet3.runtime.leases import lease
from espnet3.systems.base.build_job import BuildJob, build_jobs

log = logging.getLogger(__name__)

PROBLEMS_FILE = "problems.txt"
"""Under `data_dir`, where the data has more problems than a message should list."""
READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
"""What a folder says that may only be read, as that of a manifest made elsewhere may be."""


def create_dataset(config: DictConfig | dict[str, Any]) -> None:
    """Build the datasets of a training config under its `data_dir` and check all their manifests.

    Raises:
        ConfigError: a reference or an argument of a builder is wrong, or `data_dir` cannot be written.
        DataError: names every problem of the builders' corpora or, where there is none, of the manifests.
        LostLease: another process began to build in the same `data_dir`.
    """
    settings = read_config(DataConfig, config, "training_config")
    check_test_names(settings.dataset.test, "training_config.dataset.test")
    jobs = build_jobs(settings)
    with _owned(Path(settings.data_dir)):
        remove_leftovers(settings.data_dir, nested=False)
        _build(jobs, Path(settings.data_dir))
        _check(settings, jobs)


@contextmanager
def _owned(data_dir: Path) -> Iterator[None]:
    """Own `data_dir`, and put its faults in the user's words."""
    try:
        with lease(data_dir):
            yield
    except OSError as error:
        if data_dir.is_dir() and os.access(data_dir, os.W_OK | os.X_OK):
            raise
        raise ConfigError(
            f"training_config.data_dir: {data_dir} cannot be written ({error.strerror}). Make it writable, or choose "
            "another directory."
        ) from error


def _build(jobs: list[BuildJob], data_dir: Path) -> None:
    """Run every job, also after one whose corpus is faulty, and raise all faults together."""
    found: list[ManyFaults] = []
    for job in jobs:
        try:
            job.run()
        except ManyFaults as error:
            found.append(error)
    faults = [fault for error in found for fault in error.faults]
    _raise(faults, sum(error.total for error in found), data_dir)


def _check(settings: DataConfig, jobs: list[BuildJob]) -> None:
    """Check the manifests of all splits; log a line for each, and raise what is wrong."""
    data_dir = Path(settings.data_dir)
    reports: dict[Path, ManifestReport] = {}
    splits: dict[str, list[ManifestReport]] = {}
    problems: list[Problem | str] = []
    for split, key, reference in _references(settings):
        try:
            path = _manifest(reference, settings, key)
        except DataError as error:
            problems.append(f"{error} {_made(jobs)}")
            continue
        if path is None:
            log.info("%s: %s has no manifest, so it is not checked.", split, key)
            continue
        if path not in reports:
            reports[path] = _check_manifest(path)
            problems += reports[path].problems + reports[path].warnings
        splits.setdefault(split, []).append(reports[path])
    problems += check_splits(splits)
    _summarize(splits)
    _report(problems, sum(report.unlisted for report in reports.values()), data_dir)


def _check_manifest(path: Path) -> ManifestReport:
    """Check a manifest, and keep in its audio index how the recordings were that it names."""
    if not path.is_file():
        return check_manifest(path)  # which says so
    state = ManifestState.of(path)
    with EntrySorter(path) as gathered:
        report = check_manifest(path, with_checksums=True, gathered=gathered)
        if all(problem.is_warning for problem in report.problems):
            _write_index(path, state, gathered)
    return report


def _write_index(path: Path, state: ManifestState, gathered: EntrySorter) -> None:
    try:
        write_index(path, state, gathered.entries())
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        log.info("%s: its audio index cannot be written here (%s).", path, error.strerror)


def _references(settings: DataConfig) -> Iterator[tuple[str, str, DatasetReference]]:
    """Split, dotted key and entry; each test set is a split of its own."""
    for split in ("train", "valid", "test"):
        entries: list[DatasetReference] = getattr(settings.dataset, split)
        for place, entry in enumerate(entries):
            key = f"training_config.dataset.{split}.{place}"
            yield (f"test set {entry.name}" if split == "test" else split), key, entry


def _manifest(reference: DatasetReference, settings: DataConfig, key: str) -> Path | None:
    without_transform = reference.model_copy(update={"transform": None})
    dataset = load_dataset(without_transform, Path(settings.recipe_dir), key)
    manifest = getattr(dataset, "manifest", None)
    return None if manifest is None else Path(manifest.path)


def _made(jobs: list[BuildJob]) -> str:
    made = sorted(str(path) for job in jobs for path in job.data_dir.glob("*.jsonl"))
    return f"The builders made {', '.join(made)}." if made else "The builders made no manifest."


def _summarize(splits: dict[str, list[ManifestReport]]) -> None:
    for split, reports in splits.items():
        utterances = sum(report.utterances for report in reports)
        hours = sum(report.seconds for report in reports) / 3600
        speakers = len(set[str]().union(*(report.speakers for report in reports)))
        log.info("%s: %d utterances, %.2f hours, %d speakers", split, utterances, hours, speakers)


def _report(problems: list[Problem | str], unlisted: int, data_dir: Path) -> None:
    errors = [problem for problem in problems if isinstance(problem, str) or not problem.is_warning]
    for problem in problems:
        if isinstance(problem, Problem) and problem.is_warning:
            log.warning("%s", problem)
    _raise(errors, len(errors) + unlisted, data_dir)


def _raise(errors: Sequence[Problem | str], total: int, data_dir: Path) -> None:
    """Raise the first errors, where there are any, of `total`; those that are too many for a message go into a file."""
    remove(data_dir / PROBLEMS_FILE)
    if not errors:
        return
    where = ""
    if total > SHOWN:
        write_text(data_dir / PROBLEMS_FILE, "".join(f"{error}\n" for error in errors))
        which = "All of them are" if len(errors) == total else f"The first {len(errors)} are"
        where = f" {which} in {data_dir / PROBLEMS_FILE}."
    raise DataError(problem_list(errors, SHOWN, total) + where)

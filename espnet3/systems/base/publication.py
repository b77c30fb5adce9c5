"""The making of a pack: a trained experiment to a folder that can be published, of whatever task it is.

`espnet3.publishing.model`, whose pack_model is the stage, adds the card. The same experiment gives the same bytes:
nothing here knows the time or the machine. The new pack is tried before it takes the old one's place, which it does
whole or not at all. What is of a task is asked of its `BasePacking`.
"""

import json
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.config.instantiate import build
from espnet3.errors import ConfigError
from espnet3.packs.meta import KIND, META, SCHEMA_VERSION, WEIGHTS, write_sums
from espnet3.packs.pack import read_pack, refuse_foreign
from espnet3.packs.tasks import installed, packing_around
from espnet3.pipeline.settings import fingerprint_of
from espnet3.recipe.recipe import recipe_name
from espnet3.recipe.summary import backends_in
from espnet3.runtime.files import remove_leftovers, replacing_dir, sha256
from espnet3.runtime.leases import lease
from espnet3.runtime.versions import git_commit, installed_versions, package_version, system_name
from espnet3.systems.base.config import PublicationConfig, read_config
from espnet3.systems.base.kept_files import load_training_config
from espnet3.systems.base.pack_files import write_parts
from espnet3.systems.base.packing import About, BasePacking, Experiment

log = logging.getLogger(__name__)

RESULTS = "metrics.json"
Results = Mapping[str, Mapping[str, Any]]
"""Scores by test set and metric."""


@dataclass(frozen=True)
class NewPack:
    """A pack that lacks nothing but its card."""

    dir: Path
    settings: PublicationConfig
    packing: BasePacking
    about: About
    """What its meta.json says."""
    results: Results
    """The scores of its weights; none where they were not measured."""


@contextmanager
def new_pack(
    training_config: DictConfig, publication_config: DictConfig, system: type[Any] | None = None
) -> Iterator[NewPack]:
    """A pack of a trained experiment, to which the block adds; then it takes its place, `pack_model.pack_dir`.

    Args:
        training_config: the slot; `exp_dir` holds the trained model.
        publication_config: the slot.
        system: the System class.

    Raises:
        ConfigError: a setting is wrong, or the pack would hold what no pack may.
        DataError: the experiment is not trained, or a file of it is damaged.
    """
    settings = read_config(PublicationConfig, publication_config, "publication_config")
    exp_dir = Path(OmegaConf.select(training_config, "exp_dir"))
    experiment = Experiment(settings, load_training_config(exp_dir), exp_dir)
    packing = _packing(experiment, system)
    folder = Path(settings.pack_model.pack_dir)
    refuse_foreign(folder, META, "pack", "publication_config.pack_model.pack_dir")
    with lease(folder):
        remove_leftovers(folder.parent, nested=False, name=folder.name)
        with replacing_dir(folder) as place:
            pack = _write(experiment, packing, place, system_name(system) if system else "")
            yield pack
            write_sums(place)
            read_pack(place, trust_code=bool(settings.pack_model.code))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    files = sum(1 for _ in folder.rglob("*"))
    log.info("%s: %d files, %.1f MB; model %s.", folder, files, size / 1e6, pack.about["model"])


def _packing(experiment: Experiment, system: type[Any] | None) -> BasePacking:
    """That of the task that the System is of, or else what the configs name."""
    names = [f"{each.__module__}.{each.__qualname__}" for each in (system.__mro__ if system else ())]
    training = experiment.training
    nodes = (experiment.settings.model, training.get("preprocessor"), training.get("model"))
    names += [str(node["_target_"]) for node in nodes if node]
    found: BasePacking | None = next((each for name in names if (each := packing_around(name))), None)
    if found is None:
        what = system_name(system) if system else "the experiment"
        raise ConfigError(
            f"pack_model: {what} is of no task that packs its models, as {', '.join(sorted(installed()))} of "
            "espnet3.systems do. Use the System of one, or override pack_model in yours."
        )
    return found


def _write(experiment: Experiment, packing: BasePacking, place: Path, system: str) -> NewPack:
    config = write_parts(experiment, packing, place)
    features = build(experiment.training["features"], "training_config.features")
    about = {
        **_about(experiment, packing, system),
        "sample_rate": features.sample_rate,
        "parameters": _parameters(place),
        "model": config["model"]["_target_"],
        **packing.about(config),
    }
    results = _results(experiment, packing, place)
    if results:
        about |= _backend(Path(experiment.settings.inference_dir or ""), results)
    _write_json(place / META, about)
    write_sums(place)
    about |= packing.try_pack(experiment, place)
    _write_json(place / META, about)
    return NewPack(place, experiment.settings, packing, about, results)


def _about(experiment: Experiment, packing: BasePacking, system: str) -> dict[str, Any]:
    settings, training = experiment.settings, experiment.training
    asked, recipe = settings.pack_model, Path(settings.recipe_dir)
    averaged = (experiment.exp_dir / asked.checkpoint).with_suffix(".json")
    checkpoint = json.loads(averaged.read_text(encoding="utf-8")) if averaged.is_file() else {}
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "task": packing.task,
        "system": system,
        "title": asked.title or settings.exp_tag,
        "recipe": recipe_name(recipe),
        "experiment": settings.exp_tag,
        "language": asked.language,
        "licence": asked.licence,
        "data": {"corpus": asked.dataset, "description": asked.data},
        "code": asked.code,
        "espnet3": package_version(),
        "versions": installed_versions(),
        "git_commit": git_commit(recipe),
        "config_sha256": fingerprint_of(training),
        "seed": training.get("seed"),
        "checkpoint": {key: checkpoint[key] for key in ("criterion", "mode", "step", "members") if key in checkpoint},
    }


def _parameters(pack: Path) -> int:
    """Values in the weights, from the header alone."""
    with (pack / WEIGHTS).open("rb") as handle:
        header = json.loads(handle.read(int.from_bytes(handle.read(8), "little")))
    total = 0
    for name, entry in header.items():
        if name != "__metadata__":
            size = 1
            for length in entry["shape"]:
                size *= length
            total += size
    return total


def _results(experiment: Experiment, packing: BasePacking, pack: Path) -> dict[str, dict[str, Any]]:
    """The scores that measure wrote, which go along as they are; none where there are none of these weights."""
    settings = experiment.settings
    path = Path(settings.inference_dir) / RESULTS if settings.inference_dir else None
    if path is None or not path.is_file():
        log.warning("There is no %s: the card has no results. Run infer and measure first.", path or RESULTS)
        return {}
    packed, scored = experiment.exp_dir / settings.pack_model.checkpoint, packing.scored_weights(experiment)
    if not _are_same(packed, scored):
        log.warning(
            "%s are the scores of %s, and publication_config.pack_model.checkpoint is %s: the card has no results. Set "
            "inference_config.model.checkpoint to it and run infer and measure, or pack what was measured.",
            path,
            scored,
            packed,
        )
        return {}
    shutil.copyfile(path, pack / RESULTS)
    results: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return results


def _backend(inference_dir: Path, tests: Iterable[str]) -> dict[str, str]:
    """What ran the model that was scored, and how exactly, where infer wrote it."""
    found = sorted(set(backends_in(inference_dir, tests).values()))
    return {"backend": ", ".join(found)} if found else {}


def _are_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (other.is_file() and sha256(one) == sha256(other))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

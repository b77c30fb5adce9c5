"""The pack_model stage: a trained experiment to a folder that can be published.

`espnet3.utils.publish_utils.pack_model` calls it. The same experiment gives the same bytes: nothing here knows the time
or the machine. The new pack is tried before it takes the old one's place, which it does whole or not at all.
"""

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from espnet3.packs.meta import CARD, KIND, META, SCHEMA_VERSION, WEIGHTS, write_sums
from espnet3.packs.pack import read_pack, refuse_foreign
from espnet3.pipeline.settings import fingerprint_of
from espnet3.publishing.card import card, eval_results
from espnet3.publishing.privacy import refuse_private
from espnet3.recipe.recipe import recipe_name
from espnet3.runtime.files import remove_leftovers, replacing_dir, sha256
from espnet3.runtime.leases import lease
from espnet3.runtime.versions import git_commit, installed_versions, package_version
from espnet3.systems.asr.onnx_files import VARIANTS
from espnet3.systems.asr.pack_parts import write_parts
from espnet3.systems.asr.pack_trial import try_pack
from espnet3.systems.asr.packing import PACKING
from espnet3.systems.asr.parts import build_preprocessor, load_training_config
from espnet3.systems.base.config import PublicationConfig, read_config
from espnet3.systems.base.publication_config import PackModel

log = logging.getLogger(__name__)

RESULTS = "metrics.json"


def pack_model(training_config: DictConfig, publication_config: DictConfig, system: str = "") -> None:
    """Write the pack of a trained experiment to `pack_model.pack_dir`.

    Args:
        training_config: the slot; `exp_dir` holds the trained model.
        publication_config: the slot.
        system: name of the System class.

    Raises:
        ConfigError: a setting is wrong, or the pack would hold what is private or what no pack may.
        DataError: the experiment is not trained, or a file of it is damaged.
    """
    settings = read_config(PublicationConfig, publication_config, "publication_config")
    exp_dir = Path(OmegaConf.select(training_config, "exp_dir"))
    training = load_training_config(exp_dir)
    folder = Path(settings.pack_model.pack_dir)
    refuse_foreign(folder, META, "pack", "publication_config.pack_model.pack_dir")
    with lease(folder):
        remove_leftovers(folder.parent, nested=False, name=folder.name)
        with replacing_dir(folder) as pack:
            config = write_parts(settings, training, exp_dir, pack)
            about = _about(settings, training, exp_dir, system)
            about |= {"sample_rate": build_preprocessor(training).features.sample_rate, "parameters": _parameters(pack)}
            about |= {"model": config["model"]["_target_"], "decoder": config["recogniser"]["decoder"]["_target_"]}
            results = _results(settings, exp_dir, pack)
            _write_json(pack / META, about)
            write_sums(pack)
            about |= try_pack(settings, training, pack)
            _write_json(pack / META, about)
            for name, text in eval_results(settings, results).items():
                (pack / name).parent.mkdir(exist_ok=True)
                (pack / name).write_text(text, encoding="utf-8")
            (pack / CARD).write_text(card(settings, about, results), encoding="utf-8")
            write_sums(pack)
            refuse_private(pack)
            read_pack(pack, trust_code=bool(settings.pack_model.code))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    log.info(
        "%s: %d files, %.1f MB; model %s.",
        folder,
        sum(1 for _ in folder.rglob("*")),
        size / 1e6,
        config["model"]["_target_"],
    )


def _about(settings: PublicationConfig, training: Mapping[str, Any], exp_dir: Path, system: str) -> dict[str, Any]:
    asked = settings.pack_model
    averaged = (exp_dir / asked.checkpoint).with_suffix(".json")
    checkpoint = json.loads(averaged.read_text(encoding="utf-8")) if averaged.is_file() else {}
    recipe = Path(settings.recipe_dir)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": KIND,
        "task": PACKING.task,
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


def _results(settings: PublicationConfig, exp_dir: Path, pack: Path) -> dict[str, dict[str, Any]]:
    """The scores that measure wrote, which go along as they are; none where there are none of these weights."""
    path = Path(settings.inference_dir) / RESULTS if settings.inference_dir else None
    if path is None or not path.is_file():
        log.warning("There is no %s: the card has no results. Run infer and measure first.", path or RESULTS)
        return {}
    packed, scored = exp_dir / settings.pack_model.checkpoint, _scored_weights(settings, exp_dir)
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


def _scored_weights(settings: PublicationConfig, exp_dir: Path) -> Path:
    """What infer decoded with: `model` is that of the inference config."""
    model = settings.model or {}
    if "pack_dir" in model:
        # What the float32 model recognises was held to torch when it was packed; 8 bits are other weights.
        name = WEIGHTS if model.get("variant") == "float32" else VARIANTS["int8"]
        return Path(model["pack_dir"]) / name
    default: str = PackModel.model_fields["checkpoint"].default
    return Path(model.get("exp_dir") or exp_dir) / (model.get("checkpoint") or default)


def _are_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (other.is_file() and sha256(one) == sha256(other))


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")

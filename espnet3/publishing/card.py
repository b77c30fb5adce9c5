"""The model card of a pack: README.md with the metadata that the Hub reads, and `.eval_results/` for its benchmarks.

`model.pack_model` calls it. Every number stands in metrics.json or meta.json; nothing is written down twice by hand.
What only a model of its task can say is the task's `CardText`.
"""

from collections.abc import Iterator
from typing import Any

import yaml

from espnet3.errors import ConfigError
from espnet3.packs.meta import CARD
from espnet3.publishing.scores import kinds_of, label, rows, shown
from espnet3.systems.base.packing import About, CardText
from espnet3.systems.base.publication import NewPack
from espnet3.systems.base.publication_config import PublicationConfig


def write_card(pack: NewPack) -> None:
    """Write README.md and the files of `.eval_results/` into a new pack.

    Raises:
        ConfigError: a benchmark is named of which there is no score.
    """
    text = pack.packing.card()
    for name, content in _eval_results(pack, text).items():
        (pack.dir / name).parent.mkdir(exist_ok=True)
        (pack.dir / name).write_text(content, encoding="utf-8")
    header = yaml.safe_dump(_metadata(pack, text), sort_keys=False, allow_unicode=True, width=1000)
    sections = [section.strip() for section in _sections(pack, text) if section.strip()]
    (pack.dir / CARD).write_text(f"---\n{header}---\n\n" + "\n\n".join(sections) + "\n", encoding="utf-8")


def _eval_results(pack: NewPack, text: CardText) -> dict[str, str]:
    """Files of `.eval_results/` by name: scores on the benchmarks that the config names.

    Source: https://huggingface.co/docs/hub/eval-results.
    """
    files = {}
    for number, each in enumerate(pack.settings.pack_model.benchmarks):
        scores = pack.results.get(each.test_set, {})
        if each.metric not in shown(scores, text.rates):
            raise ConfigError(
                f"publication_config.pack_model.benchmarks.{number}: there is no {each.metric} of the test set "
                f"{each.test_set} in the results of these weights. Run infer and measure, or correct the names."
            )
        value = scores[each.metric]
        entry = {"dataset": {"id": each.dataset, "task_id": each.task_id}, "value": value}
        files[f".eval_results/{each.test_set}_{each.metric}.yaml"] = yaml.safe_dump([entry], sort_keys=False)
    return files


def _metadata(pack: NewPack, text: CardText) -> dict[str, Any]:
    asked = pack.settings.pack_model
    metadata: dict[str, Any] = {
        "language": asked.language,
        "license": asked.licence,
        "library_name": "espnet3",
        "pipeline_tag": pack.about["task"],
        "tags": ["espnet3", *text.tags, *asked.tags],
        "metrics": kinds_of(pack.results, text.rates),
    }
    if asked.licence == "other" and asked.licence_file:
        metadata |= {"license_name": "see-license", "license_link": "LICENSE"}
    if index := list(_index(pack, text)):
        metadata["model-index"] = [{"name": pack.about["title"], "results": index}]
    return {key: value for key, value in metadata.items() if value}


def _index(pack: NewPack, text: CardText) -> Iterator[dict[str, Any]]:
    corpus = pack.settings.pack_model.dataset or str(pack.about["recipe"]).partition("/")[0]
    for test_set, scores in pack.results.items():
        metrics = [
            {"type": kind or name, "value": scores[name], "name": label(name, kind)}
            for name, kind in shown(scores, text.rates).items()
        ]
        if not metrics:
            continue
        yield {
            "task": {"type": pack.about["task"], "name": text.task},
            "dataset": {"type": corpus.lower().replace(" ", "-"), "name": f"{corpus} ({test_set})", "split": test_set},
            "metrics": metrics,
        }


def _sections(pack: NewPack, text: CardText) -> Iterator[str]:
    asked = pack.settings.pack_model
    yield f"# {pack.about['title']}\n\n{asked.description}"
    yield _results_section(pack, text)
    name = pack.settings.upload_model.repo or "path/to/this/folder"
    code = " (but its recipe's own, where you load it with `trust_code=True`)" if asked.code else ""
    yield text.usage(pack.about, name, code)
    yield f"## Training data\n\n{asked.data}" if asked.data else ""
    yield f"## Limits\n\n{asked.limits}" if asked.limits else ""
    yield _origin(pack.about)
    yield _licence(pack.settings)


def _results_section(pack: NewPack, text: CardText) -> str:
    lines = [row for test_set, scores in pack.results.items() for row in rows(test_set, scores, text.rates)]
    if not lines:
        return ""
    intervals = sorted(
        {
            scores[key]
            for scores in pack.results.values()
            for name in shown(scores, text.rates)
            if (key := f"{name}_interval") in scores
        }
    )
    measured = " and ".join(text.rates[kind].method for kind in kinds_of(pack.results, text.rates))
    lead = f"{measured[0].upper()}{measured[1:]} in per cent: the lower, the better. " if measured else ""
    table = "\n".join(["| test set | utterances | metric | value | interval |", "|---|---|---|---|---|", *lines])
    how = f"Intervals: {'; '.join(intervals)}. " if intervals else ""
    return f"## Results\n\n{lead}{text.conditions(pack.about)}\n\n{table}\n\n{how}All values are in `metrics.json`."


def _origin(about: About) -> str:
    checkpoint = about.get("checkpoint", {})
    members = len(checkpoint.get("members", []))
    averaged = f", the mean of the {members} best checkpoints" if members > 1 else ""
    system = about["system"].rpartition(".")[2] or "its System"
    commit = f", commit `{about['git_commit']}`" if about["git_commit"] != "unknown" else ""
    decoder = " and its decoder" if "decoder" in about else ""
    return (
        f"## Origin\n\nA `{about['model'].rpartition('.')[2]}` of {about['parameters'] / 1e6:.2f} million "
        f"parameters{averaged}. Recipe `{about['recipe']}` with `{system}`, espnet3 {about['espnet3']}{commit}, "
        f"seed {about['seed']}; "
        f"`meta.json` has the versions of all that took part, `inference.yaml` the model{decoder}."
    )


def _licence(settings: PublicationConfig) -> str:
    asked = settings.pack_model
    where = ", see [LICENSE](LICENSE)" if asked.licence_file else ""
    named = "under terms of their own" if asked.licence == "other" else f"under `{asked.licence}`"
    return f"## Licence\n\nThe weights are {named}{where}."

"""The model card of a pack: README.md with the metadata that the Hub reads, and `.eval_results/` for its benchmarks.

`pack_model` calls it. Every number stands in metrics.json or meta.json; nothing is written down twice by hand.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from espnet3.errors import ConfigError
from espnet3.systems.base.config import PublicationConfig

Results = Mapping[str, Mapping[str, Any]]
About = Mapping[str, Any]

METHODS = {"wer": "word error rate (WER)", "cer": "character error rate (CER)"}
_UNITS = {"words": "wer", "characters": "cer"}
_OF_A_RATE = re.compile(
    r"_(?:low|high|interval|utterances|hits|substitutions|deletions|insertions|reference_\w+|sentence_errors|"
    r"sentence_error_rate|normaliser)$"
)
"""What `EditRate` writes beside a rate, under names that begin with the rate's."""
_USAGE = """## Use

In the source of ESPnet3 Systems (this pack was made with version {version}), run `pip install ".[infer]"`, or
`pip install ".[infer,publish]"` to get models from the Hub, too. Then:

```python
import espnet3

model = espnet3.load("{name}")
print(model("speech.wav"))  # a file
print(model(samples, {rate}))  # an array of samples and its rate
print(model(["one.wav", "two.wav"]))  # several
```

or `python -m espnet3.transcribe {name} speech.wav`. The model takes speech of one channel at {rate} Hz; other audio is
mixed down and resampled. Loading it runs no code of this repository{code}, and checks every file but this card against
`SHA256SUMS`.
"""


def card(settings: PublicationConfig, about: About, results: Results) -> str:
    """README.md: metadata, then what a stranger wants to know."""
    header = yaml.safe_dump(_metadata(settings, about, results), sort_keys=False, allow_unicode=True, width=1000)
    sections = [section.strip() for section in _sections(settings, about, results) if section.strip()]
    return f"---\n{header}---\n\n" + "\n\n".join(sections) + "\n"


def eval_results(settings: PublicationConfig, results: Results) -> dict[str, str]:
    """Files of `.eval_results/` by name: scores on the benchmarks that the config names.

    Source: https://huggingface.co/docs/hub/eval-results.

    Raises:
        ConfigError: there is no such score.
    """
    files = {}
    for number, each in enumerate(settings.pack_model.benchmarks):
        scores = results.get(each.test_set, {})
        if each.metric not in _metrics(scores):
            raise ConfigError(
                f"publication_config.pack_model.benchmarks.{number}: there is no {each.metric} of the test set "
                f"{each.test_set} in the results of these weights. Run infer and measure, or correct the names."
            )
        value = scores[each.metric]
        entry = {"dataset": {"id": each.dataset, "task_id": each.task_id}, "value": value}
        files[f".eval_results/{each.test_set}_{each.metric}.yaml"] = yaml.safe_dump([entry], sort_keys=False)
    return files


def _metadata(settings: PublicationConfig, about: About, results: Results) -> dict[str, Any]:
    asked = settings.pack_model
    metadata: dict[str, Any] = {
        "language": asked.language,
        "license": asked.licence,
        "library_name": "espnet3",
        "pipeline_tag": about["task"],
        "tags": ["espnet3", "audio", "speech-recognition", *asked.tags],
        "metrics": _kinds(results),
    }
    if asked.licence == "other" and asked.licence_file:
        metadata |= {"license_name": "see-license", "license_link": "LICENSE"}
    if index := list(_index(settings, about, results)):
        metadata["model-index"] = [{"name": about["title"], "results": index}]
    return {key: value for key, value in metadata.items() if value}


def _index(settings: PublicationConfig, about: About, results: Results) -> Iterator[dict[str, Any]]:
    corpus = settings.pack_model.dataset or str(about["recipe"]).partition("/")[0]
    for test_set, scores in results.items():
        metrics = [
            {"type": kind or name, "value": scores[name], "name": _label(name, kind)}
            for name, kind in _metrics(scores).items()
        ]
        if not metrics:
            continue
        yield {
            "task": {"type": about["task"], "name": "Speech recognition"},
            "dataset": {"type": corpus.lower().replace(" ", "-"), "name": f"{corpus} ({test_set})", "split": test_set},
            "metrics": metrics,
        }


def _metrics(scores: Mapping[str, Any]) -> dict[str, str | None]:
    """The numbers of a test set that a card shows, and of which kind they are: error rates first."""
    kinds = {name: _kind(name, scores) for name, value in scores.items() if _is_shown(name, value, scores)}
    order = [*METHODS, None]
    return dict(sorted(kinds.items(), key=lambda item: (order.index(item[1]), item[0])))


def _is_shown(name: str, value: Any, scores: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    part = _OF_A_RATE.search(name)
    return part is None or name[: part.start()] not in scores


def _kind(name: str, scores: Mapping[str, Any]) -> str | None:
    for unit, kind in _UNITS.items():
        if f"{name}_reference_{unit}" in scores:
            return kind
    named = re.match(r"(wer|cer)(?![a-z])", name.lower())
    return named[1] if named else None


def _kinds(results: Results) -> list[str]:
    found = {kind for scores in results.values() for kind in _metrics(scores).values()}
    return [kind for kind in METHODS if kind in found]


def _label(name: str, kind: str | None) -> str:
    if kind is None:
        return name
    return kind.upper() if name == kind else f"{kind.upper()} ({name})"


def _sections(settings: PublicationConfig, about: About, results: Results) -> Iterator[str]:
    asked = settings.pack_model
    yield f"# {about['title']}\n\n{asked.description}"
    yield _results_section(about, results)
    name = settings.upload_model.repo or "path/to/this/folder"
    code = " (but its recipe's own, where you load it with `trust_code=True`)" if asked.code else ""
    yield _usage(about, name, code) + _example(about) + _onnx(about, name)
    yield f"## Training data\n\n{asked.data}" if asked.data else ""
    yield f"## Limits\n\n{asked.limits}" if asked.limits else ""
    yield _origin(about)
    yield _licence(settings)


def _usage(about: About, name: str, code: str) -> str:
    return _USAGE.format(version=about["espnet3"], rate=about["sample_rate"], name=name, code=code)


def _results_section(about: About, results: Results) -> str:
    rows = [row for test_set, scores in results.items() for row in _rows(test_set, scores)]
    if not rows:
        return ""
    intervals = sorted(
        {
            scores[key]
            for scores in results.values()
            for name in _metrics(scores)
            if (key := f"{name}_interval") in scores
        }
    )
    measured = " and ".join(METHODS[kind] for kind in _kinds(results))
    lead = f"{measured[0].upper()}{measured[1:]} in per cent: the lower, the better. " if measured else ""
    table = "\n".join(["| test set | utterances | metric | value | interval |", "|---|---|---|---|---|", *rows])
    how = f"Intervals: {'; '.join(intervals)}. " if intervals else ""
    return f"## Results\n\n{lead}Decoded with {_decoder(about)}.\n\n{table}\n\n{how}All values are in `metrics.json`."


def _decoder(about: About) -> str:
    words = re.findall("[A-Z][a-z]*", str(about["decoder"]).rpartition(".")[2])
    return f"the {' '.join(words).lower()}" if words else "its decoder"


def _rows(test_set: str, scores: Mapping[str, Any]) -> Iterator[str]:
    for name, kind in _metrics(scores).items():
        low, high = scores.get(f"{name}_low"), scores.get(f"{name}_high")
        interval = f"{low:.2f} to {high:.2f}" if low is not None and high is not None else ""
        utterances = scores.get(f"{name}_utterances", "")
        value = f"{scores[name]}" if isinstance(scores[name], int) else f"{scores[name]:.2f}"
        yield f"| {test_set} | {utterances} | {_label(name, kind)} | {value} | {interval} |"


def _example(about: About) -> str:
    example = about.get("example")
    if not example:
        return ""
    return (
        f"\nWhen this pack was made, it heard “{example['hypothesis']}” in the test utterance "
        f"`{example['utterance']}`, of which the reference is “{example['reference']}”.\n"
    )


def _onnx(about: About, name: str) -> str:
    onnx = about.get("onnx")
    if not onnx:
        return ""
    lines = [
        "",
        "### Without torch",
        "",
        'ONNX Runtime runs these files; `pip install ".[demo]"` brings it, and no torch.',
        "",
        "```python",
    ]
    backends = {"float32": "onnx", "int8": "onnx-int8"}
    lines += [f'model = espnet3.load("{name}", backend="{backends[precision]}")' for precision in onnx]
    lines += ["```", "", "| file | MB | texts other than torch's | WER, % | above torch's |", "|---|---|---|---|---|"]
    for each in onnx.values():
        compared = f"{each['differing']} of {each['utterances']}" if "utterances" in each else "not compared"
        rates = f"{each['wer']:.2f} | {each['wer'] - each['wer_torch']:+.2f}" if "wer" in each else " | "
        lines.append(f"| `{each['file']}` | {each['bytes'] / 1e6:.1f} | {compared} | {rates} |")
    if any("wer" in each for each in onnx.values()):
        lines += ["", "This WER is of the texts as they are written, without a normaliser that the results may have."]
    return "\n".join(lines) + "\n"


def _origin(about: About) -> str:
    checkpoint = about.get("checkpoint", {})
    members = len(checkpoint.get("members", []))
    averaged = f", the mean of the {members} best checkpoints" if members > 1 else ""
    system = about["system"].rpartition(".")[2] or "its System"
    commit = f", commit `{about['git_commit']}`" if about["git_commit"] != "unknown" else ""
    return (
        f"## Origin\n\nA `{about['model'].rpartition('.')[2]}` of {about['parameters'] / 1e6:.2f} million "
        f"parameters{averaged}. Recipe `{about['recipe']}` with `{system}`, espnet3 {about['espnet3']}{commit}, "
        f"seed {about['seed']}; "
        "`meta.json` has the versions of all that took part, `inference.yaml` the model and its decoder."
    )


def _licence(settings: PublicationConfig) -> str:
    asked = settings.pack_model
    where = ", see [LICENSE](LICENSE)" if asked.licence_file else ""
    named = "under terms of their own" if asked.licence == "other" else f"under `{asked.licence}`"
    return f"## Licence\n\nThe weights are {named}{where}."


__all__ = ["card", "eval_results"]

"""Trying a pack before it is published: what its card tells to run is run, its ONNX models compared with torch's.

`pack_model` calls it. Where neither torch nor onnxruntime is installed, or the test sets are not here, the pack is
written untried, and its card says nothing of an example.
"""

import logging
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from espnet3.components.data.dataset import Sample
from espnet3.components.data.dataset_reference import load_test_sets
from espnet3.errors import ConfigError, DataError
from espnet3.packs.loading import load
from espnet3.parallel.threads import limit_threads, threads_each
from espnet3.runtime.failures import chain
from espnet3.systems.asr.transcriber import SpeechToText
from espnet3.systems.base.config import Dataset
from espnet3.systems.base.packing import Experiment, without_bytecode

log = logging.getLogger(__name__)


@without_bytecode()
def try_pack(experiment: Experiment, pack: Path) -> dict[str, Any]:
    """Export what is asked for, and transcribe with the pack as a stranger would.

    Returns:
        What `meta.json` says of it: `example` and `onnx`.

    Raises:
        ConfigError: an export is asked for that cannot be made here, or the pack lacks code of the recipe.
        DataError: an exported model recognises something else than the original.
    """
    onnx = experiment.settings.pack_model.onnx
    has_torch = find_spec("torch") is not None
    if onnx.export and not has_torch:
        raise ConfigError("publication_config.pack_model.onnx.export needs torch: install the extra infer.")
    if not has_torch:
        log.warning("torch is not installed: the pack is written without being tried.")
        return {}
    limit_threads(threads_each(None, workers=1))
    samples = _Samples(experiment)
    found: dict[str, Any] = {}
    model = _load(experiment.settings.pack_model.code, pack)
    if sample := next(iter(samples), None):
        text = _as_on_the_card(model, sample)
        found["example"] = {"utterance": sample["utt_id"], "reference": sample["text"], "hypothesis": text}
        log.info("Tried with %s: %s", sample["utt_id"], text)
    if onnx.export:
        from espnet3.systems.asr.onnx_export import export

        found["onnx"] = export(model, pack, onnx.int8, samples)
    return found


def _load(code: Sequence[str], pack: Path) -> SpeechToText:
    try:
        model: SpeechToText = load(pack, backend="torch", device="cpu", trust_code=bool(code))
        return model
    except DataError as error:
        if lacking := _lacking_module(error):
            raise ConfigError(
                f"publication_config.pack_model.code lacks {lacking}, which the code that goes along imports. Add its "
                f"file to {code}."
            ) from error
        raise


def _lacking_module(error: BaseException) -> str | None:
    """The recipe's own module for lack of which something failed."""
    names = (each.name for each in chain(error) if isinstance(each, ModuleNotFoundError))
    return next((name for name in names if name and name.partition(".")[0] == "src"), None)


def _as_on_the_card(model: SpeechToText, sample: Sample) -> str:
    """The text of a sample, which the three calls of the card, a file, an array and a list, have to agree on.

    Raises:
        DataError: they do not.
    """
    import soundfile

    with TemporaryDirectory() as folder:
        file = Path(folder, "speech.wav")
        soundfile.write(file, sample["audio"], sample["sample_rate"], subtype="FLOAT")
        texts = [model(file), model(sample["audio"], sample["sample_rate"]), *model([file])]
    if len(set(texts)) > 1:
        raise DataError(f"The packed model hears the same recording in several ways: {', '.join(map(repr, texts))}.")
    return texts[0]


class _Samples(Sequence[Sample]):
    """The test sets' utterances, read one at a time; none where the data is not here."""

    def __init__(self, experiment: Experiment) -> None:
        references = Dataset.model_validate(experiment.training.get("dataset", {})).test
        try:
            sets = load_test_sets(references, Path(experiment.settings.recipe_dir), "training_config.dataset.test")
        except (ConfigError, DataError) as error:
            log.warning("The test sets are not here, so the pack is not tried on them: %s", error)
            sets = {}
        self._places = [(data, index) for data in sets.values() for index in range(len(data))]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, place: Any) -> Any:
        data, index = self._places[place]
        return data[index]

    def __iter__(self) -> Iterator[Sample]:
        return (data[index] for data, index in self._places)

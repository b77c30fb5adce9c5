"""The ONNX models of a pack beside eager torch, and how long a pack takes from the shell to its first transcript.

`bench.stages` has trained the model, for a few epochs, which is enough: speed does not ask what the weights are. The
speeds are measured in a process of its own: `python -m bench.onnx PACK MANIFEST FILE`.
"""

import json
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.figure import Figure
from bench.process import run_python
from bench.stages import run_stage

BACKENDS = {"torch": 6.0, "onnx": 1.5, "onnx-int8": 1.5}
"""Seconds that each may take to the first transcript."""
LARGEST_PACK = 20
"""MB that a pack may have without its optional files."""
BATCH = 16
"""Utterances handed over at once, which is eager torch's better case."""
SPANS = ("samples to text", "frames to text")
"""What is timed: all of it, and the part that ONNX replaces; features are computed the same way for all."""
FASTER = {("an4", "onnx-int8"): 2.0}
"""How many times as fast as eager torch an ONNX model of a recipe shall be: the one of 8 bits, which is there to be
quick. Of float32 it is only told: on a core with AVX2 eager torch multiplies half of what the core can, and
twice that is more than any program reaches. Of digits it is only told, too: most of the time of so small a model is the
recurrence, step after step, which no export can change."""
ROUNDS = 3
UTTERANCES = 130


def measure(recipe: Path) -> list[Figure]:
    """Pack the model of a recipe that was trained, and compare its backends on the test set."""
    name, pack = recipe.parent.name, recipe / "exp" / "bench" / "model_pack"
    run_stage(recipe, "pack_model")
    manifest = max((recipe / "data").glob("*test*.jsonl"), key=lambda path: path.stat().st_size)
    recording = recipe / "recording.wav"
    write_recording(manifest, recording)
    size = Figure(f"{name}: pack without its ONNX models", size_of(pack), "MB", LARGEST_PACK, "less")
    first = {backend: first_transcript(pack, recording, backend) for backend in BACKENDS}
    speeds = recipe / "speeds.json"
    run_python(["-m", "bench.onnx", str(pack), str(manifest), str(speeds)])
    found = json.loads(speeds.read_text(encoding="utf-8"))
    return [
        size,
        *(Figure(f"{name}: to the first transcript, {key}", first[key], "s", BACKENDS[key], "less") for key in first),
        *(figure for span in SPANS for figure in ratios(name, span, found[span])),
    ]


def size_of(pack: Path) -> float:
    """MB of a pack's files, but for its ONNX models, which may be left out."""
    return sum(path.stat().st_size for path in pack.rglob("*") if path.is_file() and path.suffix != ".onnx") / 1e6


def ratios(name: str, span: str, speeds: dict[str, float]) -> list[Figure]:
    """How fast eager torch is, and how much faster the others."""
    compared = {"onnx": "ONNX by eager torch", "onnx-int8": "ONNX, 8 bits, by eager torch"}
    return [
        Figure(f"{name}, {span}: eager torch, one thread", speeds["torch"], "x real time"),
        *(
            Figure(f"{name}, {span}: {what}", speeds[key] / speeds["torch"], "x", FASTER.get((name, key)))
            for key, what in compared.items()
        ),
    ]


def first_transcript(pack: Path, recording: Path, backend: str) -> float:
    """Seconds of a fresh process that loads a pack and transcribes one recording; the median of some."""
    command = ["-m", "espnet3.transcribe", str(pack), str(recording), "--backend", backend]
    return sorted(run_python(command).seconds for _ in range(ROUNDS))[ROUNDS // 2]


def write_recording(manifest: Path, path: Path) -> None:
    """The first utterance as a file of its own."""
    import soundfile

    from espnet3.components.data.audio import read_audio
    from espnet3.components.data.manifest import Manifest

    corpus = Manifest.read(manifest)
    soundfile.write(path, *read_audio(corpus[0], corpus.root))


def compare(pack: Path, manifest: Path) -> dict[str, dict[str, float]]:
    """By span and backend: seconds of audio that are decoded per second, on one thread."""
    import torch

    import espnet3
    from espnet3.components.data.dataset import ManifestDataset

    torch.set_num_threads(1)
    dataset = ManifestDataset(str(manifest))
    samples = [dataset[index] for index in range(min(UTTERANCES, len(dataset)))]
    recognisers = {name: espnet3.load(pack, backend=name, device="cpu").recogniser for name in BACKENDS}
    found = {SPANS[0]: speeds(recognisers, samples)}
    for recogniser in recognisers.values():
        recogniser.preprocessor = Remembering(recogniser.preprocessor, samples)
    return found | {SPANS[1]: speeds(recognisers, samples)}


def speeds(recognisers: dict[str, Any], samples: list[Any]) -> dict[str, float]:
    """Seconds of audio that each decodes per second."""
    seconds = sum(len(sample["audio"]) / sample["sample_rate"] for sample in samples)
    batches = [samples[first : first + BATCH] for first in range(0, len(samples), BATCH)]
    # In turn, so that what else the machine does meets all of them; the first round warms up.
    rounds = [{name: timed(each.decode, batches) for name, each in recognisers.items()} for _ in range(ROUNDS + 1)]
    return {name: seconds / min(each[name] for each in rounds[1:]) for name in recognisers}


class Remembering:
    """A preprocessor that has computed its frames before."""

    def __init__(self, preprocessor: Any, samples: list[Any]) -> None:
        self.preprocessor = preprocessor
        self.known = {sample["utt_id"]: preprocessor.frames(sample, None) for sample in samples}

    def frames(self, sample: Any, rng: None) -> Any:
        """The frames of one of the samples."""
        return self.known[sample["utt_id"]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.preprocessor, name)


def timed(work: Callable[[Any], object], items: Iterable[Any]) -> float:
    """Seconds that work on all items takes."""
    start = time.perf_counter()
    for item in items:
        work(item)
    return time.perf_counter() - start


if __name__ == "__main__":
    Path(sys.argv[3]).write_text(json.dumps(compare(Path(sys.argv[1]), Path(sys.argv[2]))), encoding="utf-8")

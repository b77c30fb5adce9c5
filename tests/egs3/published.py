"""Whether all that a recipe published arrived on the tests' Hub, and comes back from there as it was trained."""

from pathlib import Path

import espnet3
from espnet3.components.data.dataset import ManifestDataset
from espnet3.components.data.scp import read_scp
from tests.egs3.digits_run import REPO
from tests.hub.server import HubServer

BACKENDS = ("torch", "onnx")
PACKS = {"model": "model_pack", "space": "demo_pack"}
"""Kind of repository -> folder of the experiment."""


def assert_published(hub: HubServer, experiment: Path) -> None:
    """Model and Space are what was packed, private, and the model of the Hub hears what infer heard."""
    assert unpublished(hub, experiment) == []
    assert all(hub.repo(REPO, kind).private for kind in PACKS)
    expected = read_scp(next(experiment.glob("greedy/*/hyp.scp")))
    dataset = ManifestDataset(str(experiment.parents[1] / "data/test.jsonl"))
    samples = [dataset[index] for index in range(len(dataset))]
    recordings = [(sample["audio"], sample["sample_rate"]) for sample in samples]
    for backend in BACKENDS:
        model = espnet3.load(REPO, backend=backend, device="cpu")
        assert model.meta.model_dump()["experiment"] == experiment.name
        texts = model(recordings)
        assert dict(zip((sample["utt_id"] for sample in samples), texts, strict=True)) == expected


def unpublished(hub: HubServer, experiment: Path) -> list[str]:
    """The packs of an experiment that the Hub does not hold as they are."""
    return [folder for kind, folder in PACKS.items() if hub.contents(REPO, kind) != contents(experiment / folder)]


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a packed folder."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lease")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

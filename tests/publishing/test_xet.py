"""Xet, the Hub's storage of large files: with it, and with a Hub that has none.

hf_xet is the real one; its storage is a folder, as its own tests have it, so that nothing leaves this machine.
"""

import hashlib
from pathlib import Path

import hf_xet
import pytest

from espnet3.errors import ConfigError
from espnet3.publishing.download import download
from espnet3.publishing.upload import upload
from espnet3.systems.base.publication_config import Upload
from tests.hub.server import HubServer
from tests.publishing.test_download import PARTS as NOTES
from tests.publishing.test_download import sums

LARGE = "model.safetensors"
KEY = "publication_config.upload_model"
PARTS = {"meta.json": NOTES["meta.json"], LARGE: bytes(range(256)) * 800}
FILES = {"README.md": b"A model.\n", **PARTS, "SHA256SUMS": sums(PARTS)}


@pytest.fixture
def pack(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    folder = tmp_path / "pack"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def storage(hub: HubServer, pack: Path, tmp_path: Path) -> Path:
    """Xet's storage; what the Hub would read in it of the large file, the tests' Hub is told."""
    path = pack / LARGE
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    hub.hub.store.xet[sha256] = hf_xet.hash_files([str(path)])[0].hash
    hub.hub.store.large[sha256] = path.read_bytes()
    hub.hub.xet = f"local://{tmp_path}/storage"
    return tmp_path / "storage"


def test_a_large_file_goes_to_xet_and_comes_back(hub: HubServer, pack: Path, storage: Path) -> None:
    settings = Upload(repo="me/model", endpoint=hub.address)
    upload(pack, settings, "model", KEY)
    assert [path for path in storage.rglob("default.*") if path.is_file()]
    assert not hub.asked("POST", "/objects/batch")
    assert upload(pack, settings, "model", KEY).empty
    folder = download("me/model", None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert {request.path.rpartition("/")[2] for request in hub.asked("GET", "/resolve/")} == {*FILES} - {LARGE}


def test_a_hub_without_xet_is_told_from_one_that_fails(hub: HubServer, pack: Path) -> None:
    with pytest.raises(ConfigError, match="HF_HUB_DISABLE_XET"):
        upload(pack, Upload(repo="me/model", endpoint=hub.address, retries=0), "model", KEY)

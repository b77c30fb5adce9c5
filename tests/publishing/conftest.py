"""A Hub on loopback for every test here, and a guard that nothing goes elsewhere."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.guard import loopback_only
from tests.hub.server import HubServer, serving


@pytest.fixture(scope="session")
def hub_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubServer]:
    """One Hub for the whole session: huggingface_hub reads its address once, as it is imported."""
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing leaves loopback, and no login of this machine is used."""
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with loopback_only():
        yield


@pytest.fixture
def hub(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """An empty Hub, and a token that may write; large files go through LFS."""
    hub_server.reset()
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    os.environ.setdefault("HF_ENDPOINT", hub_server.address)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub_server.address)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(Path(os.environ["HF_HOME"]) / "token"))
    return hub_server

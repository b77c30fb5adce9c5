"""Fixtures of tests that speak to a Hub; their conftest.py imports them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.guard import loopback_only
from tests.hub.server import HubServer, serving

__all__ = ["alone", "hub", "hub_server"]


@pytest.fixture(scope="session")
def hub_server() -> Iterator[HubServer]:
    """One Hub for the whole session: huggingface_hub reads its address once, as it is imported."""
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing leaves loopback, and no login of this machine is used."""
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with loopback_only():
        yield


@pytest.fixture
def hub(hub_server: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HubServer:
    """An empty Hub, and a token that may write; large files go through LFS."""
    hub_server.reset()
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    os.environ.setdefault("HF_ENDPOINT", hub_server.address)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", hub_server.address)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf/token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    return hub_server

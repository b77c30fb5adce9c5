"""Fixtures of tests that speak to a Hub; their conftest.py imports them."""

import atexit
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.hub.guard import loopback_only
from tests.hub.server import HubServer, serving

__all__ = ["alone", "hub", "other_hub"]

NOWHERE = "http://127.0.0.1:9"
"""An address at which nobody listens."""


@cache
def the_hub() -> HubServer:
    """One Hub for all tests, wherever their fixtures come from."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(serving())


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Nothing leaves loopback, and no login of this machine is used."""
    for name in ("HF_TOKEN", "HF_ENDPOINT", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with loopback_only():
        yield


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> HubServer:
    """An empty Hub, and a token that may write; large files go through LFS."""
    server = the_hub()
    server.reset()
    monkeypatch.setenv("HF_TOKEN", "hf_writer")
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    from huggingface_hub import constants

    # What it met as it was imported counts for nothing: each call is to name its Hub.
    monkeypatch.setattr(constants, "ENDPOINT", NOWHERE)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", NOWHERE + "/{repo_id}/resolve/{revision}/{filename}")
    # Read as huggingface_hub is imported, which an earlier test may have done with another environment.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf/token"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    return server


@pytest.fixture
def other_hub(hub: HubServer) -> Iterator[HubServer]:
    """A second Hub, with the same tokens, at another address."""
    with serving() as server:
        yield server

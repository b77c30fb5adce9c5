"""The guard itself: what leaves loopback is refused and remembered."""

import os
import socket
import subprocess
import sys

import pytest

from tests.hub.guard import LeftLoopback, loopback_only


@pytest.mark.parametrize("address", ["192.0.2.1", "203.0.113.9"])
def test_a_connection_elsewhere_is_refused_and_fails_the_test(address: str) -> None:
    with pytest.raises(AssertionError, match=address), loopback_only(), pytest.raises(LeftLoopback):
        socket.create_connection((address, 80))


def test_looking_up_a_name_elsewhere_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"example\.invalid"), loopback_only(), pytest.raises(LeftLoopback):
        socket.create_connection(("example.invalid", 80))


def test_loopback_is_open() -> None:
    with loopback_only(), socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()[:2]).close()


def test_another_process_runs_into_the_trap() -> None:
    code = "import urllib.request as r; r.urlopen('http://example.invalid/x', timeout=5)"
    with pytest.raises(AssertionError, match=r"proxy.*example\.invalid"), loopback_only():
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, env=dict(os.environ))

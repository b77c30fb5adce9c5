"""The guard itself: what leaves loopback is refused and remembered."""

import os
import socket
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.request import urlopen

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


def test_what_the_block_asked_for_does_not_outlive_it(tmp_path: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with loopback_only():
            urlopen(address).close()
        with urlopen(address) as answer:
            assert answer.status == 200
        server.shutdown()

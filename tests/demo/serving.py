"""A demo's server as a process of its own, for the tests that ask it something."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from espnet3.demo.settings import HEALTH_PATH


def free_port() -> int:
    """One at which nobody listens just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def serving(command: list[str], folder: Path, port: int, environment: dict[str, str] | None = None) -> Iterator[str]:
    """The address of a server that runs while the block does."""
    process = subprocess.Popen(command, cwd=folder, env=environment)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            try:
                with urlopen(address + HEALTH_PATH, timeout=5) as answer:
                    assert answer.status == 200
                break
            except OSError:
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(30)

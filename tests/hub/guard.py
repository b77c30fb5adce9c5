"""A guard that fails a test when anything tries to leave loopback: Python by its audit events, native code by a proxy.

What is not Python's (hf_xet's own HTTP client, subprocesses) is told by the environment to go out through a proxy on
loopback, which answers nothing and remembers who called.
"""

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.request import build_opener, install_opener

HERE = "127.0.0.1,localhost,::1"
_seen: list[str] | None = None
_hooked = False


class LeftLoopback(OSError):
    """Something tried to reach another machine."""


@contextmanager
def loopback_only(environment: dict[str, str] | None = None) -> Iterator[list[str]]:
    """Refuse, and list, every attempt to leave loopback while the block runs; fail at its end if there was one.

    Args:
        environment: what processes are started with; this process's own where left out.
    """
    global _seen  # noqa: PLW0603
    _hook()
    attempts: list[str] = []
    before, _seen = _seen, attempts
    try:
        with _trap(attempts) as proxy, _environment(os.environ if environment is None else environment, proxy):
            yield attempts
    finally:
        _seen = before
    assert not attempts, f"left loopback: {attempts}"


def _hook() -> None:
    global _hooked  # noqa: PLW0603
    if not _hooked:
        sys.addaudithook(_audit)
        _hooked = True


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is None or event not in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        return
    address = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = address[0] if isinstance(address, tuple) else address
    if isinstance(address, str) and event != "socket.getaddrinfo":
        return  # a Unix socket
    if not _is_here(host):
        _seen.append(f"{event} {host}")
        raise LeftLoopback(f"{event} {host}: this test may not leave loopback")


def _is_here(host: Any) -> bool:
    if host is None or host in ("", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host).is_loopback
    except ValueError:
        return False


@contextmanager
def _trap(attempts: list[str]) -> Iterator[str]:
    """A proxy that answers nothing and notes the first line of who calls."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread = Thread(target=_note, args=(listener, attempts), daemon=True)
        thread.start()
        try:
            yield address
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _note(listener: socket.socket, attempts: list[str]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(1)
            try:
                attempts.append(f"proxy {connection.recv(200).splitlines()[:1]!r}")
            except OSError as error:
                attempts.append(f"proxy {error}")


@contextmanager
def _environment(environment: Any, proxy: str) -> Iterator[None]:
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    told = dict.fromkeys(names[:3], proxy) | {"no_proxy": HERE}
    told |= {name.upper(): value for name, value in told.items()}
    before = {name: environment.get(name) for name in told}
    environment.update(told)
    install_opener(
        build_opener()
    )  # urlopen would keep the proxies of its first call in this process for all later ones
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
        install_opener(build_opener())

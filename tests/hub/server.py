"""A Hub on loopback: the real protocol over real sockets, with a log of requests and faults on demand."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, TextIO

from tests.hub.faults import Fault, Faults
from tests.hub.routes import Answer, Hub, Request, refusal
from tests.hub.store import Repo


@dataclass
class HubServer:
    """A running Hub, as tests see it."""

    address: str
    hub: Hub = field(default_factory=Hub)
    faults: Faults = field(default_factory=Faults)
    requests: list[Request] = field(default_factory=list)
    log: TextIO | None = None
    """Gets a line for each request."""

    def fail(self, status: int, **where: Any) -> None:
        """Answer requests with a fault; see `Fault`."""
        self.faults.pending.append(Fault(status, **where))

    def repo(self, name: str, kind: str = "model") -> Repo:
        """A repository that must be there."""
        return self.hub.store.repos[kind, name]

    def contents(self, name: str, kind: str = "model", revision: str = "main") -> dict[str, bytes]:
        """The files of a repository's newest commit."""
        head = self.repo(name, kind).head(revision)
        assert head is not None
        return {path: file.content for path, file in head.files.items()}

    def asked(self, method: str, part: str) -> list[Request]:
        """The requests so far of that method with `part` in their path."""
        return [request for request in self.requests if request.method == method and part in request.path]

    def reset(self) -> None:
        """Forget everything."""
        self.hub, self.faults, self.requests = Hub(), Faults(), []

    def answer(self, request: Request) -> Answer | None:
        """The answer to a request; none where the connection is to be cut."""
        self.requests.append(request)
        early = self.faults.take(request.method, request.path, late=False)
        answer = _failed(early) if early else self.hub.answer(request)
        late = None if early else self.faults.take(request.method, request.path, late=True)
        answer = _failed(late) if late else answer
        if self.log:
            print(request.method, request.path, answer.status if answer else "cut", file=self.log, flush=True)
        return answer


def _failed(fault: Fault) -> Answer | None:
    if fault.status == 0:
        return None
    answer = refusal(fault.status, fault.message)
    return Answer(answer.body, answer.status, {**answer.headers, **fault.headers})


@contextmanager
def serving(host: str = "127.0.0.1", port: int = 0, log: TextIO | None = None) -> Iterator[HubServer]:
    """A Hub at an address of this machine, on a free port where it is 0."""
    with ThreadingHTTPServer((host, port), _Handler) as server:
        server.daemon_threads = True
        hub = HubServer(f"http://{host}:{server.server_port}", log=log)
        server.hub = hub  # type: ignore[attr-defined]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""

    def _handle(self) -> None:
        hub: HubServer = self.server.hub  # type: ignore[attr-defined]
        headers = {name.lower(): value for name, value in self.headers.items()}
        # Its own address as the client knows it: a Hub at 0.0.0.0 has several.
        base = f"http://{headers['host']}" if "host" in headers else hub.address
        request = Request(self.command, self.path, headers, self._body(), base)
        answer = hub.answer(request)
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(answer)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815

    def _send(self, answer: Answer) -> None:
        content = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

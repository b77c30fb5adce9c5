"""An API server on loopback that answers what a test tells it to, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml


@dataclass
class ApiServer:
    """Answers by `METHOD path`; what is not named is a path that no server knows. An answer may be made of the body."""

    answers: dict[str, tuple[int, Any] | Callable[[Any], tuple[int, Any]]] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    port: int = 0

    def refuse(self, request: str, status: int, message: str) -> None:
        """Answer as Kubernetes does when it refuses."""
        self.answers[request] = (status, {"kind": "Status", "status": "Failure", "message": message, "code": status})

    def kubeconfig(self, path: Path) -> Path:
        """A file that names this server and the namespace speech."""
        content = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "speech"}}],
            "current-context": "here",
        }
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path


@contextmanager
def api_server() -> Iterator[ApiServer]:
    """A server that runs while the block does."""
    api = ApiServer()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            request = f"{self.command} {self.path.partition('?')[0]}"
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else None
            api.requests.append((request, sent))
            answer = api.answers.get(request, (404, "404 page not found\n"))
            status, content = answer(sent) if callable(answer) else answer
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(content, str) else "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()

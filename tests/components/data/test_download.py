import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from espnet3.components.data.archive import download
from espnet3.errors import ConfigError, DataError, TryAgain

CONTENT = bytes(range(256)) * 10_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
KEY = "training_config.create_dataset.archive"


class Corpus(BaseHTTPRequestHandler):
    """Serves /corpus.tar whole, /cut only half of what it promises, and any other number as a status."""

    def do_GET(self) -> None:
        name = self.path.strip("/")
        self.send_response(int(name) if name.isdigit() else 200)
        self.send_header("Content-Length", str(0 if name.isdigit() else len(CONTENT)))
        self.end_headers()
        if not name.isdigit():
            self.wfile.write(CONTENT[: len(CONTENT) // 2] if name == "cut" else CONTENT)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Corpus) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_downloads_what_is_not_there(server: str, tmp_path: Path) -> None:
    path = tmp_path / "ü" / "corpus.tar"
    download(f"{server}/corpus.tar", path, SHA256, KEY)
    assert path.read_bytes() == CONTENT
    changed = path.stat().st_mtime_ns
    download(f"{server}/404", path, SHA256, KEY)
    assert path.stat().st_mtime_ns == changed, "a file with the right checksum is not fetched again"


def test_a_poisoned_file_is_fetched_again(server: str, tmp_path: Path) -> None:
    path = tmp_path / "corpus.tar"
    path.write_bytes(CONTENT[:100])
    download(f"{server}/corpus.tar", path, SHA256, KEY)
    assert path.read_bytes() == CONTENT


FAULTS = {
    "gone": ("/404", SHA256, DataError, "answers 404"),
    "forbidden": ("/403", SHA256, DataError, "answers 403"),
    "overloaded": ("/503", SHA256, TryAgain, "answers 503"),
    "slow down": ("/429", SHA256, TryAgain, "answers 429"),
    "cut": ("/cut", SHA256, TryAgain, "cannot be reached"),
    "other content": ("/corpus.tar", 64 * "0", DataError, f"gave a file with the sha256 {SHA256}, not 0000"),
}


@pytest.mark.parametrize(("place", "sha256", "kind", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_failed_download_leaves_nothing(
    server: str, tmp_path: Path, place: str, sha256: str, kind: type[Exception], expected: str
) -> None:
    with pytest.raises(kind, match=expected) as caught:
        download(f"{server}{place}", tmp_path / "corpus.tar", sha256, KEY)
    assert str(caught.value).endswith(f"If you have the file, set {KEY} to its path.")
    assert not list(tmp_path.iterdir())


def test_offline_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(TryAgain, match=rf"cannot be reached: .*refused.*set {KEY} to its path"):
        download("http://127.0.0.1:9/corpus.tar", tmp_path / "corpus.tar", SHA256, KEY)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "corpus.tar", ""])
def test_only_web_addresses_are_fetched(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match="is not an http or https address"):
        download(url, tmp_path / "corpus.tar", SHA256, KEY)

"""A headless Chromium, driven by chromedriver's W3C protocol: as much of it as the demo's tests need.

Every name but 127.0.0.1 is unknown to this browser, and it tells which addresses a page asked for.
"""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The protocol's name of an element's id."""
PROGRAMS = ("chromium", "chromedriver")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--no-proxy-server",
    "--window-size=1280,1100",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


def missing() -> str:
    """Which of the programs this machine lacks; empty when it has them."""
    return " and ".join(program for program in PROGRAMS if shutil.which(program) is None)


class Browser:
    """A browser's window."""

    def __init__(self, session: str) -> None:
        self.session = session

    def open(self, address: str) -> None:
        """Go to a page."""
        self.ask("POST", "/url", {"url": address})

    def find(self, selector: str, seconds: float = 60) -> str:
        """The id of the first element that matches a CSS selector, waiting for it."""
        return str(self.wait(lambda: self._find(selector), selector, seconds))

    def type(self, selector: str, text: str) -> None:
        """Type into an element, or choose a file with an input for files."""
        self._act(selector, "value", {"text": text})

    def click(self, selector: str) -> None:
        """Click an element."""
        self._act(selector, "click", {})

    def run(self, script: str) -> Any:
        """What a script in the page returns."""
        return self.ask("POST", "/execute/sync", {"script": script, "args": []})

    def screenshot(self, path: Path) -> None:
        """Keep what is to be seen as a PNG."""
        path.write_bytes(base64.b64decode(self.ask("GET", "/screenshot")))

    def addresses(self) -> set[str]:
        """Everything that the pages asked for since the last call."""
        log = self.ask("POST", "/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in log]
        return {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}

    def wait(self, what: Any, name: str, seconds: float = 60) -> Any:
        """The first true result of `what`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := what():
                return found
            time.sleep(0.1)
        raise TimeoutError(
            f"{name} did not come within {seconds:g} s; the page: {self.run('return document.body.innerText')}"
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """One command of the protocol."""
        return _ask(method, f"{self.session}{path}", body)

    def _act(self, selector: str, action: str, body: dict[str, str]) -> None:
        """Do it once the page lets it: an element may be drawn anew just now, or still lie under another."""

        def done() -> bool:
            try:
                self.ask("POST", f"/element/{self.find(selector)}/{action}", body)
            except HTTPError as error:
                if error.code not in (400, 404):  # the protocol's codes for what the page does not let, or has not
                    raise
                return False
            return True

        self.wait(done, f"{action} of {selector}")

    def _find(self, selector: str) -> Any:
        found = self.ask("POST", "/elements", {"using": "css selector", "value": selector})
        return found[0][ELEMENT] if found else None


@contextmanager
def browsing(port: int, profile: Path) -> Iterator[Browser]:
    """A browser that is gone, with all its processes, when the block ends."""
    driver = subprocess.Popen(["chromedriver", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _until_ready(f"{address}/status")
        arguments = [*OPTIONS, f"--user-data-dir={profile}"]
        wanted = {"goog:chromeOptions": {"args": arguments}, "goog:loggingPrefs": {"performance": "ALL"}}
        session = _ask("POST", f"{address}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Browser(f"{address}/session/{session}")
        finally:
            _ask("DELETE", f"{address}/session/{session}")
    finally:
        driver.terminate()
        driver.wait(30)


def _until_ready(address: str) -> None:
    for _ in range(300):
        try:
            if _ask("GET", address)["ready"]:
                return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("chromedriver did not start")


def _ask(method: str, address: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = Request(address, data, {"Content-Type": "application/json"}, method=method)
    with urlopen(request, timeout=120) as answer:
        return json.load(answer)["value"]

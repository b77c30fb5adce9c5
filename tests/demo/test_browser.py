"""The demo in a real browser: choose a file, read the transcript."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import espnet3
from images import sandbox
from images.catalog import ROOT, Variant, version
from images.engine import NAMES, Engine, works
from tests.demo.browser import Browser, browsing, missing
from tests.demo.serving import free_port, serving
from tests.hub.guard import loopback_only

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"this machine has no {missing()} (Debian: chromium, chromium-driver)"),
]

OF_THE_BROWSER = ("blob:", "data:", "chrome:", "chrome-extension:")

SCREENSHOTS = Path(os.environ.get("ESPNET3_SCREENSHOTS") or ROOT / "build" / "screenshots")
"""Where what was seen is kept."""


IMAGE = Variant(version()).reference("demo")


def container_engine() -> Engine | None:
    """The program that has the demo's image and can run it here; None where there is none."""
    engines = (Engine(name) for name in NAMES if works(name))
    return next((engine for engine in engines if engine.has(IMAGE)), None)


@pytest.fixture(scope="module")
def server(demo: Path) -> Iterator[str]:
    """The demo's own process, started as a Space and the image start it, and stopped as they stop it."""
    port, environment = free_port(), dict(os.environ)
    command = [sys.executable, "-m", "espnet3.demo.app", str(demo), "--port", str(port)]
    with loopback_only(environment), serving(command, demo, port, environment) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(free_port(), tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def transcript(browser: Browser) -> str:
    return str(browser.run("return document.querySelector('#transcript textarea').value"))


def keep(browser: Browser, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    browser.screenshot(SCREENSHOTS / f"{name}.png")


def marked_as_wrong(browser: Browser) -> bool:
    """Whether gradio writes `Error` over a result that there is not."""
    boxes = "['#transcript', '#timing', '#details'].map(id => document.querySelector(id)?.innerText ?? '')"
    return bool(browser.run(f"return {boxes}.some(text => text.includes('Error'))"))


def test_a_chosen_file_is_transcribed(browser: Browser, server: str, demo: Path) -> None:
    transcribe_a_file(browser, server, demo)
    keep(browser, "transcript")


def test_the_container_transcribes_a_chosen_file(browser: Browser, demo: Path) -> None:
    engine, port = container_engine(), free_port()
    if engine is None:
        pytest.skip("needs docker, podman or buildah, and the image of the demo: make images")
    demo.chmod(0o755)
    words = ("tini", "-s", "--", "python", "-m", "espnet3.demo.app", sandbox.MOUNT, "--port", str(port))
    environment: dict[str, str] = {}
    with loopback_only(environment):
        task = sandbox.Task(words, demo, environment=environment, network=True)  # the browser is here
        with sandbox.command(engine, IMAGE, task) as command, serving(command, demo, port) as address:
            transcribe_a_file(browser, address, demo)
            keep(browser, "container")


def transcribe_a_file(browser: Browser, server: str, demo: Path) -> None:
    """Choose a recording, read the transcript, and see that the page calls nobody else."""
    recording = demo / "examples/test-000.wav"
    expected = espnet3.load(demo / "model", backend="onnx")(recording)
    browser.open(server)
    browser.type("#speech input[type=file]", str(recording))
    browser.find("#speech #waveform, #speech audio, #speech .waveform-container")
    browser.click("#transcribe")
    assert browser.wait(lambda: transcript(browser), "the transcript") == expected
    browser.find("#details svg rect")
    assert "ONNX Runtime" in browser.run("return document.querySelector('#timing').innerText")
    assert [each for each in browser.addresses() if not each.startswith((server, *OF_THE_BROWSER))] == []


def test_nothing_chosen_is_told_so(browser: Browser, server: str) -> None:
    browser.open(server)
    browser.click("#transcribe")
    browser.wait(lambda: "choose a file first" in browser.run("return document.body.innerText"), "the message")
    keep(browser, "nothing-chosen")
    assert not marked_as_wrong(browser)


def test_what_is_no_audio_is_told_so(browser: Browser, server: str, tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_text("this is not audio")
    browser.open(server)
    browser.type("#speech input[type=file]", str(tmp_path / "noise.wav"))
    browser.wait(lambda: "noise.wav" in browser.run("return document.querySelector('#speech').innerHTML"), "the upload")
    browser.click("#transcribe")
    browser.wait(lambda: "no readable audio" in browser.run("return document.body.innerText"), "the message")
    assert "/tmp" not in browser.run("return document.body.innerText")
    keep(browser, "no-audio")
    assert not marked_as_wrong(browser)


def test_after_a_refusal_another_recording_is_transcribed(browser: Browser, server: str, demo: Path) -> None:
    browser.open(server)
    browser.click("#transcribe")
    browser.wait(lambda: "choose a file first" in browser.run("return document.body.innerText"), "the message")
    browser.type("#speech input[type=file]", str(demo / "examples/test-000.wav"))
    browser.find("#speech #waveform, #speech audio, #speech .waveform-container")
    browser.click("#transcribe")
    browser.find("#details svg rect")
    keep(browser, "after-a-refusal")
    assert "choose a file first" not in browser.run("return document.body.innerText")


def test_the_microphone_is_transcribed(browser: Browser, server: str) -> None:
    browser.open(server)
    browser.click("#speech button[aria-label='Record audio']")
    browser.click("#speech .record-button")
    time.sleep(1.5)
    browser.click("#speech .stop-button")
    browser.wait(
        lambda: browser.run("return !!document.querySelector('#speech audio[src], #speech #waveform')"), "audio"
    )
    browser.click("#transcribe")
    browser.find("#details svg")
    keep(browser, "microphone")

"""`python -m espnet3.demo.app DEMO [--host HOST] [--port PORT]`: shows a packed model in a browser.

DEMO is what pack_demo wrote, a pack with an ONNX model, or a pack's name on the Hub. The demo image and the app.py of a
Space run this. The server listens once the model is loaded, answers `HEALTH_PATH` for probes, and calls nobody.
"""

import argparse
import logging
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import espnet3
from espnet3.demo.listener import Listener
from espnet3.demo.settings import AUTO, HEALTH_PATH, MODEL, PORT, SETTINGS, DemoSettings, best_backend, read_settings
from espnet3.errors import ConfigError, Espnet3Error

if TYPE_CHECKING:
    from fastapi import FastAPI
    from gradio import Blocks

log = logging.getLogger(__name__)

ENGINES = {"onnx": "ONNX Runtime", "onnx-int8": "ONNX Runtime, 8 bits"}
"""What the app calls its ways to run a model."""
LARGEST_SAMPLE = 48_000 * 2 * 4
"""Bytes of a second of audio at 48 kHz, in two channels of 32 bits."""
HEADER_BYTES = 1 << 20
KEPT_SECONDS, SWEPT_SECONDS = 3600, 300
"""How long an uploaded recording stays on the server's disk at most, and how often those that are due are deleted."""
WAITING = 16
"""Recordings that may wait; further visitors are told to come back."""
GRACE_SECONDS = 5


def main(argv: list[str] | None = None) -> int:
    """Serve until asked to stop; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m espnet3.demo.app", description=__doc__)
    parser.add_argument("demo", help="a folder that pack_demo or pack_model wrote, or owner/name on the Hub")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0 for every one")
    parser.add_argument("--port", type=int, default=PORT)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        serve(args.demo, args.host, args.port)
    except Espnet3Error as error:
        log.error("%s", error)
        return error.exit_code
    return os.EX_OK


def serve(demo: str, host: str, port: int) -> None:
    """Load the model, then serve it at `host` and `port`.

    Raises:
        ConfigError: the model cannot run without torch, or the extra demo is not installed.
        DataError: there is no such demo, or it is damaged.
        TryAgain: the Hub cannot be reached.
    """
    settings, folder, listener = open_demo(demo)
    app = make_app(settings, folder, listener)
    import uvicorn

    log.info("%s is at http://%s:%d", settings.title, host, port)
    uvicorn.run(app, host=host, port=port, log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS)


def open_demo(demo: str) -> tuple[DemoSettings, Path, Listener]:
    """The settings, the folder and the loaded model of a demo; see `serve`."""
    from espnet3.packs.loading import find_pack

    folder = Path(demo)
    if (folder / SETTINGS).is_file():
        settings, pack = read_settings(folder), folder / MODEL
    else:
        settings, pack = DemoSettings(), find_pack(demo)
    backend = best_backend(pack) if settings.backend == AUTO else settings.backend
    model = espnet3.load(pack, backend=backend or AUTO)
    return (
        settings.model_copy(update={"title": settings.title or model.meta.title}),
        folder,
        Listener(model, settings.max_seconds, ENGINES.get(backend or "", "torch")),
    )


def make_app(settings: DemoSettings, folder: Path, listener: Listener) -> "FastAPI":
    """The web application.

    Raises:
        ConfigError: the extra demo is not installed.
    """
    # Read as gradio is imported: it would report its use to its makers otherwise.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    try:
        import gradio
        from fastapi import FastAPI
    except ImportError as error:
        raise ConfigError(
            f"The demo needs {error.name}. Install the extra demo: pip install 'espnet3[demo]'."
        ) from None

    app = FastAPI(title=settings.title, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get(HEALTH_PATH)
    def health() -> dict[str, str]:
        return {"status": "ok", "model": listener.model.meta.title, "backend": listener.engine}

    largest = math.ceil(settings.max_seconds * LARGEST_SAMPLE) + HEADER_BYTES
    mounted: FastAPI = gradio.mount_gradio_app(
        app,
        make_page(settings, folder, listener).queue(max_size=WAITING, default_concurrency_limit=1),
        path="/",
        # The default theme fetches its fonts from elsewhere.
        theme=gradio.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        allowed_paths=[str((folder / example).resolve()) for example in settings.examples],
        max_file_size=largest,
        footer_links=["api"],
        ssr_mode=False,
        pwa=False,
    )
    return mounted


def make_page(settings: DemoSettings, folder: Path, listener: Listener) -> "Blocks":
    """What the browser shows."""
    import gradio

    def check(recording: str | None) -> dict[str, Any]:
        problem = listener.problem(Path(recording)) if recording else "Record something or choose a file first."
        answer: dict[str, Any] = gradio.validate(problem is None, problem or "")
        return answer

    def transcribe(recording: str) -> tuple[str, str, str]:
        heard = listener.hear(Path(recording))
        return heard.text, heard.timing, heard.details

    page: Blocks = gradio.Blocks(
        title=settings.title,
        analytics_enabled=False,
        delete_cache=(SWEPT_SECONDS, KEPT_SECONDS - SWEPT_SECONDS),  # how often, and from which age on
    )
    with page:
        gradio.Markdown(f"# {settings.title}\n\n{settings.description}")
        with gradio.Row():
            with gradio.Column():
                audio = gradio.Audio(
                    sources=["upload", "microphone"],
                    type="filepath",
                    label=f"Speech, at most {settings.max_seconds:g} s",
                    elem_id="speech",
                    buttons=["download"],
                )
                button = gradio.Button("Transcribe", variant="primary", elem_id="transcribe")
                if settings.examples:
                    gradio.Examples([[str(folder / example)] for example in settings.examples], inputs=[audio])
            with gradio.Column():
                text = gradio.Textbox(label="Transcript", lines=3, elem_id="transcript", buttons=["copy"])
                timing = gradio.Markdown(elem_id="timing")
        details = gradio.HTML(elem_id="details")
        # A validator's answer is shown at the recording; an error of the function would be written over every result.
        button.click(
            transcribe, inputs=[audio], outputs=[text, timing, details], api_name="transcribe", validator=check
        )
    return page


if __name__ == "__main__":
    sys.exit(main())

"""pack_demo and upload_demo: what is in a demo, that nothing is lost, and the way to a Space and back."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

import espnet3
from espnet3.demo.pack import PACKAGE, pack_demo, upload_demo
from espnet3.demo.settings import read_settings
from espnet3.errors import ConfigError, DataError, Espnet3Error
from espnet3.publishing.repository import Repository
from espnet3.systems.base.system import BaseSystem
from espnet3.utils.publish_utils import upload_model
from espnet3.utils.stages_utils import run_stages
from tests.demo.serving import free_port, serving
from tests.hub.guard import loopback_only
from tests.hub.server import HubServer

Configs = Callable[..., DictConfig]
pytestmark = pytest.mark.slow


@pytest.fixture
def config(notes: dict[str, Any], tmp_path: Path) -> Configs:
    def make(**changes: Any) -> DictConfig:
        made = OmegaConf.create(notes)
        made.pack_demo.pack_dir = str(tmp_path / "demo_pack")
        return OmegaConf.merge(made, changes)  # type: ignore[return-value]

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_demo_holds_all_that_it_needs(demo: Path) -> None:
    found = contents(demo)
    for name in ("app.py", "README.md", "requirements.txt", "demo.json", "model/model.onnx", "examples/test-000.wav"):
        assert name in found
    assert "espnet3/demo/app.py" in found
    assert not [name for name in found if "__pycache__" in name or name.endswith((".pyc", ".lease"))]


def test_the_card_tells_a_space_how_to_run(demo: Path) -> None:
    _, front, text = (demo / "README.md").read_text().split("---\n", 2)
    card = OmegaConf.to_container(OmegaConf.create(front))
    assert isinstance(card, dict)
    assert (card["sdk"], card["app_file"], card["title"]) == ("gradio", "app.py", "Name the notes")
    pinned = dict(line.split(" ")[0].split("==") for line in (demo / "requirements.txt").read_text().splitlines())
    assert card["sdk_version"] == pinned["gradio"]
    assert "torch" not in pinned
    assert "Play three notes." in text


def test_the_same_model_gives_the_same_demo_and_a_second_run_does_no_harm(demo: Path, config: Configs) -> None:
    first, again = config(), config()
    pack_demo(first)
    once = contents(Path(first.pack_demo.pack_dir))
    pack_demo(again)
    assert contents(Path(again.pack_demo.pack_dir)) == once == contents(demo)


def test_a_folder_of_something_else_is_left_alone(config: Configs, tmp_path: Path) -> None:
    (tmp_path / "demo_pack").mkdir()
    (tmp_path / "demo_pack/thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="no demo"):
        pack_demo(config())
    assert (tmp_path / "demo_pack/thesis.txt").read_text() == "years of work"


REFUSED = [
    pytest.param({"pack_demo": {"examples": ["none.wav"]}}, DataError, "none.wav", id="a missing example"),
    pytest.param({"pack_demo": {"examples": ["test-000.wav"] * 2}}, ConfigError, "two files", id="a name twice"),
    pytest.param({"pack_demo": None}, ConfigError, "pack_dir", id="no settings"),
    pytest.param({"pack_demo": {"description": "/home/anna/x"}}, ConfigError, r"README\.md:\d+: '/home/a", id="a path"),
    pytest.param({"pack_model": {"pack_dir": "nowhere"}}, DataError, "pack_model", id="no pack"),
]


@pytest.mark.parametrize(("changes", "kind", "says"), REFUSED)
def test_what_cannot_be_packed_is_refused(
    config: Configs, changes: dict[str, Any], kind: type[Espnet3Error], says: str
) -> None:
    with pytest.raises(kind, match=says):
        pack_demo(config(**changes))


def test_a_pack_without_onnx_is_refused_and_an_earlier_demo_kept(
    notes: dict[str, Any], config: Configs, tmp_path: Path
) -> None:
    pack_demo(config())
    before = contents(tmp_path / "demo_pack")
    shutil.copytree(notes["pack_model"]["pack_dir"], tmp_path / "pack", ignore=shutil.ignore_patterns("*.onnx"))
    with pytest.raises(ConfigError, match=r"onnx\.export"):
        pack_demo(config(pack_model={"pack_dir": str(tmp_path / "pack")}))
    assert contents(tmp_path / "demo_pack") == before


def test_a_damaged_pack_becomes_no_demo(notes: dict[str, Any], config: Configs, tmp_path: Path) -> None:
    shutil.copytree(notes["pack_model"]["pack_dir"], tmp_path / "pack")
    with (tmp_path / "pack/model.onnx").open("r+b") as file:
        file.seek(100)
        file.write(b"!")
    with pytest.raises(DataError, match=r"model\.onnx"):
        pack_demo(config(pack_model={"pack_dir": str(tmp_path / "pack")}))


@pytest.mark.parametrize("settings", ["{", '{"max_seconds": -1}', '{"schema_version": 99}', '{"backend": "magic"}'])
def test_damaged_settings_are_told_so(tmp_path: Path, settings: str) -> None:
    (tmp_path / "demo.json").write_text(settings)
    with pytest.raises(DataError, match=r"demo\.json"):
        read_settings(tmp_path)


def test_the_server_needs_no_torch(demo: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from espnet3.demo.app import make_app, open_demo;"
        "make_app(*open_demo('.')); print('made')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=demo, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "made", done.stderr


def test_a_recording_is_deleted_as_soon_as_the_card_promises(demo: Path) -> None:
    code = "from espnet3.demo.app import make_page, open_demo; print(*make_page(*open_demo('.')).delete_cache)"
    done = subprocess.run([sys.executable, "-c", code], cwd=demo, capture_output=True, text=True, check=True)
    often, age = map(int, done.stdout.split())
    assert "deleted within an hour" in (demo / "README.md").read_text()
    assert often + age <= 3600  # one that is a second too young has to wait for the next time


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def space_hears(folder: Path, recordings: list[str]) -> list[str]:
    """What a Space of these files, which its own app.py serves, makes of recordings."""
    from gradio_client import Client, handle_file  # type: ignore[import-untyped]

    port, environment = free_port(), dict(os.environ, HF_HUB_DISABLE_TELEMETRY="1")
    command = [sys.executable, "app.py", "--host", "127.0.0.1", "--port", str(port)]
    with loopback_only(environment), serving(command, folder, port, environment) as address:
        client = Client(address, verbose=False, analytics_enabled=False)
        return [client.predict(handle_file(each), api_name="/transcribe")[0] for each in recordings]


def test_model_and_space_go_to_the_hub_and_back_and_hear_the_same(
    hub: HubServer, demo: Path, config: Configs, tmp_path: Path
) -> None:
    upload = {"endpoint": hub.address}
    settings = config(
        upload_model={**upload, "repo": "me/notes"},
        upload_demo={**upload, "repo": "me/notes-demo"},
        pack_demo={"pack_dir": str(demo)},
    )
    system = BaseSystem(training_config={"exp_dir": str(tmp_path / "exp")}, publication_config=settings)
    run_stages(system, ["upload_model", "upload_demo"] * 2)
    assert hub.contents("me/notes-demo", "space") == contents(demo)
    assert len(hub.asked("POST", "/commit/")) == 2
    there = espnet3.load("me/notes", backend="onnx")
    here = espnet3.load(settings.pack_model.pack_dir, backend="torch")
    recordings = [str(path) for path in sorted((demo / "examples").iterdir())]
    assert there(recordings) == here(recordings)
    assert any(there(recordings))
    assert space_hears(write(tmp_path / "space", hub.contents("me/notes-demo", "space")), recordings) == here(
        recordings
    )
    logs = "".join(path.read_text() for path in (tmp_path / "exp").glob("*.log"))
    assert logs.count("already holds it all") == 2
    assert "hf_writer" not in logs


def test_a_damaged_pack_is_not_uploaded(hub: HubServer, notes: dict[str, Any], config: Configs, tmp_path: Path) -> None:
    shutil.copytree(notes["pack_model"]["pack_dir"], tmp_path / "pack")
    (tmp_path / "pack/SHA256SUMS").unlink()
    with pytest.raises(DataError, match="SHA256SUMS"):
        upload_model(config(pack_model={"pack_dir": str(tmp_path / "pack")}, upload_model={"repo": "me/notes"}))
    assert not hub.requests


STRAYS = [".env", ".DS_Store", "train.log", "src/notes.py", ".git/config"]


def copied(notes: dict[str, Any], demo: Path, folder: Path) -> dict[str, Any]:
    """Settings that upload copies of the pack and the demo."""
    shutil.copytree(notes["pack_model"]["pack_dir"], folder / "pack")
    shutil.copytree(demo, folder / "demo")
    return {
        "pack_model": {"pack_dir": str(folder / "pack")},
        "pack_demo": {"pack_dir": str(folder / "demo")},
        "upload_model": {"repo": "me/notes"},
        "upload_demo": {"repo": "me/demo"},
    }


@pytest.mark.parametrize("name", STRAYS)
def test_a_stray_file_is_named_and_nothing_is_uploaded(
    hub: HubServer, notes: dict[str, Any], demo: Path, config: Configs, tmp_path: Path, name: str
) -> None:
    settings = config(**copied(notes, demo, tmp_path))
    places = {"pack": upload_model, "demo": upload_demo, "demo/model": upload_demo, "demo/espnet3": upload_demo}
    for place, upload in places.items():
        stray = tmp_path / place / name
        stray.parent.mkdir(exist_ok=True)
        stray.write_text("TOKEN=secret\n")
        with pytest.raises(Espnet3Error, match=name.replace(".", r"\.")) as refusal:
            upload(settings)
        assert "emove" in str(refusal.value)
        stray.unlink()
    assert not hub.requests


def test_what_became_private_since_it_was_packed_is_not_uploaded(
    hub: HubServer, notes: dict[str, Any], demo: Path, config: Configs, tmp_path: Path
) -> None:
    settings = config(**copied(notes, demo, tmp_path))
    for place, upload in (("pack", upload_model), ("demo", upload_demo)):
        with (tmp_path / place / "README.md").open("a") as card:
            card.write("\nSee /home/anna/notes/thesis.txt\n")
        with pytest.raises(ConfigError, match=r"README\.md:\d+: .*/home/anna"):
            upload(settings)
    assert not hub.requests


def test_marks_of_owners_and_bytecode_of_a_trial_stay_here(
    hub: HubServer, notes: dict[str, Any], demo: Path, config: Configs, tmp_path: Path
) -> None:
    settings = config(**copied(notes, demo, tmp_path))
    for name in ("pack/.lease", "demo/.lease", "demo/espnet3/__pycache__/errors.cpython-311.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(socket.gethostname())
    upload_model(settings)
    upload_demo(settings)
    assert hub.contents("me/notes") == contents(Path(notes["pack_model"]["pack_dir"]))
    assert hub.contents("me/demo", "space") == contents(demo)


def test_only_what_belongs_to_pack_and_package_goes_into_a_demo(
    notes: dict[str, Any], demo: Path, config: Configs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "espnet3"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(notes["pack_model"]["pack_dir"], tmp_path / "pack")
    monkeypatch.setattr("espnet3.demo.pack.PACKAGE", package)
    strays = (".ipynb_checkpoints/app-checkpoint.py", ".env", "__pycache__/x.py", "app.py~", "notes.ipynb", "a.log")
    for name in strays:
        for folder in (package / "demo", tmp_path / "pack"):
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text("secret")
    pack_demo(config(pack_model={"pack_dir": str(tmp_path / "pack")}))
    assert set(contents(tmp_path / "demo_pack")) == set(contents(demo))


def test_no_demo_is_uploaded_from_an_empty_folder(hub: HubServer, config: Configs) -> None:
    with pytest.raises(DataError, match="Run pack_demo"):
        upload_demo(config(upload_demo={"repo": "me/demo", "endpoint": hub.address}))
    assert not hub.requests


def test_without_a_place_to_publish_nothing_is_asked_for(
    config: Configs, demo: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(Repository, "state", lambda self: pytest.fail("asked the Hub"))
    upload_model(config())
    upload_demo(config(pack_demo={"pack_dir": str(demo)}))
    assert caplog.text.count("nothing is uploaded") == 2
    assert json.loads((demo / "demo.json").read_text())["title"] == "Name the notes"

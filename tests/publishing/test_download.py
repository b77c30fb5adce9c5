"""`espnet3.load` of a name on the Hub: what it says, and with which exit code, when the Hub does not give the model."""

import hashlib
from pathlib import Path
from urllib.parse import unquote

import pytest

import espnet3
from espnet3.errors import ConfigError, DataError, Espnet3Error, TryAgain
from espnet3.publishing.download import download
from espnet3.publishing.upload import upload
from espnet3.systems.base.publication_config import Upload
from espnet3.transcribe import main
from tests.hub.server import HubServer

SETTINGS = "publication_config.upload_model"
PARTS = {
    "meta.json": b'{"kind": "espnet3-model", "schema_version": 1, "task": "asr", "system": "ASRSystem", '
    b'"title": "Notes", "sample_rate": 16000, "espnet3": "1.0"}\n',
    "model.safetensors": bytes(range(256)) * 40,
    "model.onnx": b"exact",
    "model.int8.onnx": b"small",
    "tokenizer/[a-z]*.json": b"[]",
}
"""As much of a pack as a download looks at."""


def sums(files: dict[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()).encode()


FILES = {"README.md": b"A model.\n", **PARTS, "SHA256SUMS": sums(PARTS)}


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def model(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A private model on the Hub, of which this machine has nothing yet."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    folder = write(tmp_path / "pack", FILES)
    upload(folder, Upload(repo="me/model", endpoint=hub.address), "model", SETTINGS)
    return "me/model"


def test_a_model_comes_from_the_hub_once(hub: HubServer, model: str) -> None:
    folder = download(model, None)
    assert contents(folder) == FILES
    before = len(hub.asked("GET", "/resolve/"))
    assert download(model, None) == folder
    assert len(hub.asked("GET", "/resolve/")) == before


def loaded(hub: HubServer) -> set[str]:
    """The files that were asked for so far."""
    return {unquote(each.path.split("/resolve/")[1].partition("/")[2]) for each in hub.asked("GET", "/resolve/")}


def test_only_what_the_pack_lists_is_loaded(hub: HubServer, model: str, tmp_path: Path) -> None:
    others = {"pytorch_model.bin": b"old", "tokenizer/notes.json": b"{}", "tokenizer/[a-z]x.json": b"{}", "z": b"z"}
    upload(write(tmp_path / "others", others), Upload(repo=model, endpoint=hub.address), "model", SETTINGS)
    assert contents(download(model, None)) == FILES
    assert not loaded(hub) & others.keys()


ONNX = [
    pytest.param(None, {"model.onnx", "model.int8.onnx"}, id="all"),
    pytest.param((), set(), id="none"),
    pytest.param(("model.int8.onnx",), {"model.int8.onnx"}, id="one"),
]


@pytest.mark.parametrize(("asked", "there"), ONNX)
def test_onnx_models_are_loaded_where_they_are_needed(
    hub: HubServer, model: str, asked: tuple[str, ...] | None, there: set[str]
) -> None:
    folder = download(model, None, lambda meta: asked)
    assert {path.name for path in folder.glob("*.onnx")} == there
    assert contents(download(model, None)) == FILES


NO_PACKS = [
    pytest.param(
        {"meta.json": None}, "me/other of http.* is not a packed model: it has no meta.json", id="no meta.json"
    ),
    pytest.param({"meta.json": b'{"kind": "picture"}'}, "its kind is not espnet3-model", id="another kind"),
    pytest.param({"meta.json": b'{"kind": "espnet3-model", "schema_version": 9}'}, "Install a newer", id="newer"),
    pytest.param({"SHA256SUMS": None}, "SHA256SUMS is missing", id="no sums"),
    pytest.param({"SHA256SUMS": sums({"../x": b""})}, r"'\.\./x' leads out", id="a name that leads out"),
    pytest.param({"SHA256SUMS": sums({"/etc/passwd": b""})}, "leads out", id="an absolute name"),
    pytest.param({"SHA256SUMS": sums({"a\\b": b""})}, "leads out", id="a name of Windows"),
    pytest.param({"SHA256SUMS": sums({"old.bin": b"x"})}, "old.bin is or holds a pickle", id="a pickle that is listed"),
    pytest.param({"SHA256SUMS": b"*\n"}, "SHA256SUMS:1 is damaged", id="no sums at all"),
]


@pytest.mark.parametrize(("changes", "says"), NO_PACKS)
def test_what_is_no_pack_of_ours_is_refused_before_it_is_loaded(
    hub: HubServer, tmp_path: Path, changes: dict[str, bytes | None], says: str
) -> None:
    files = {name: content for name, content in (FILES | changes).items() if content is not None}
    folder = write(tmp_path / "other", files | {"old.bin": b"x"})
    upload(folder, Upload(repo="me/other", endpoint=hub.address), "model", SETTINGS)
    with pytest.raises(DataError, match=says):
        espnet3.load("me/other")
    assert loaded(hub) <= {"meta.json", "SHA256SUMS"}


def test_a_star_among_the_names_loads_no_other_file(hub: HubServer, tmp_path: Path) -> None:
    folder = write(tmp_path / "other", FILES | {"SHA256SUMS": sums({**PARTS, "*": b"x"}), "old.bin": b"x"})
    upload(folder, Upload(repo="me/other", endpoint=hub.address), "model", SETTINGS)
    assert "old.bin" not in contents(download("me/other", None))


def test_a_wait_of_a_day_is_told_or_what_is_here_taken(
    hub: HubServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"slept {seconds}"))
    hub.fail(429, path="/tree/", times=99, headers={"Retry-After": "86400"})
    with pytest.raises(TryAgain, match="asks to wait 86400 s"):
        download(model, None)
    hub.faults.pending.clear()
    folder = download(model, None)
    hub.fail(429, times=99, headers={"Retry-After": "86400"})
    assert download(model, None) == folder


def test_a_model_comes_from_the_hub_that_the_environment_names_now(
    hub: HubServer, other_hub: HubServer, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pack/README.md").write_text("Another model.")
    settings = Upload(repo="me/other", endpoint=other_hub.address)
    upload(tmp_path / "pack", settings, "model", SETTINGS)
    assert (download(model, None) / "README.md").read_bytes() == FILES["README.md"]
    monkeypatch.setenv("HF_ENDPOINT", other_hub.address)
    before = len(hub.requests)
    assert (download("me/other", None) / "README.md").read_text() == "Another model."
    assert len(hub.requests) == before


REFUSED = [
    pytest.param({"status": 401, "message": "Invalid credentials in Authorization header"}, "the token", id="401"),
    pytest.param({"status": 401, "message": "Invalid username or password."}, "has no model me/model", id="401 unseen"),
    pytest.param({"status": 403}, "may not read me/model", id="403"),
    pytest.param({"status": 403, "headers": {"X-Error-Code": "GatedRepo"}}, "Ask on its page", id="403 gated"),
    pytest.param({"status": 404}, "has no model me/model", id="404"),
    pytest.param({"status": 403, "path": "/resolve/", "times": 99}, "may not read me/model", id="403 of a file"),
    pytest.param({"status": 418}, "does not give me/model", id="another refusal"),
]


@pytest.mark.parametrize(("fault", "says"), REFUSED)
def test_a_refusal_is_a_sentence_with_exit_code_78(
    hub: HubServer, model: str, fault: dict[str, object], says: str
) -> None:
    hub.fail(**{"path": "/revision/", **fault})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=says) as caught:
        espnet3.load(model)
    assert_plain(caught.value, 78)
    assert f"({fault['status']}" in str(caught.value)


PASSING = [
    pytest.param({"status": 429}, "just now", id="429"),
    pytest.param({"status": 503}, "just now", id="503"),
    pytest.param({"status": 500, "path": "/resolve/"}, "just now", id="500 of a file"),
    pytest.param({"status": 0}, "cannot be reached", id="cut"),
]


@pytest.mark.parametrize(("fault", "says"), PASSING)
def test_a_passing_fault_has_exit_code_75(hub: HubServer, model: str, fault: dict[str, object], says: str) -> None:
    hub.fail(**{"path": "/revision/", "times": 99, **fault})  # type: ignore[arg-type]
    with pytest.raises(TryAgain, match=says) as caught:
        espnet3.load(model)
    assert_plain(caught.value, 75)


def assert_plain(error: Espnet3Error, code: int) -> None:
    assert error.exit_code == code
    assert str(error).endswith(".")
    assert "\n" not in str(error)
    assert "hf_writer" not in str(error)


def test_what_is_here_whole_does_for_a_hub_that_is_down(hub: HubServer, model: str) -> None:
    folder = download(model, None)
    hub.fail(503, times=99)
    assert download(model, None) == folder


def test_a_private_model_is_not_seen_without_a_token(
    hub: HubServer, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match="if it is private, set HF_TOKEN"):
        espnet3.load(model)


def test_a_revision_that_is_not_there_is_named(model: str) -> None:
    with pytest.raises(ConfigError, match="has no model me/model at v9 "):
        espnet3.load(model, revision="v9")


@pytest.mark.parametrize("name", ["me/--", "me/a..b"])
def test_a_name_that_is_none_is_refused(hub: HubServer, name: str) -> None:
    with pytest.raises(ConfigError, match="is not a name of a repository"):
        espnet3.load(name)
    assert not hub.requests


def test_offline_is_told_so(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match="HF_HUB_OFFLINE is set"):
        espnet3.load(model)


@pytest.mark.parametrize(("status", "code"), [(404, 78), (503, 75)])
def test_the_command_ends_with_the_exit_code(
    hub: HubServer, model: str, capsys: pytest.CaptureFixture[str], status: int, code: int
) -> None:
    hub.fail(status, path="/revision/", times=99)
    assert main([model, "speech.wav"]) == code
    assert capsys.readouterr().err.startswith("error: ")

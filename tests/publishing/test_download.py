"""`espnet3.load` of a name on the Hub: what it says, and with which exit code, when the Hub does not give the model."""

from pathlib import Path

import pytest

import espnet3
from espnet3.errors import ConfigError, Espnet3Error, TryAgain
from espnet3.publishing.download import download
from espnet3.publishing.upload import upload
from espnet3.systems.base.publication_config import Upload
from espnet3.transcribe import main
from tests.hub.server import HubServer

FILES = {"README.md": b"A model.\n", "model.safetensors": bytes(range(256)) * 40}


@pytest.fixture
def model(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A private model on the Hub, of which this machine has nothing yet."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    for name, content in FILES.items():
        (tmp_path / "pack" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "pack" / name).write_bytes(content)
    upload(tmp_path / "pack", Upload(repo="me/model", endpoint=hub.address), "model", "publication_config.upload_model")
    return "me/model"


def test_a_model_comes_from_the_hub_once(hub: HubServer, model: str) -> None:
    folder = download(model, None)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    before = len(hub.asked("GET", "/resolve/"))
    assert download(model, None) == folder
    assert len(hub.asked("GET", "/resolve/")) == before


def test_a_model_comes_from_the_hub_that_the_environment_names_now(
    hub: HubServer, other_hub: HubServer, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pack/README.md").write_text("Another model.")
    settings = Upload(repo="me/other", endpoint=other_hub.address)
    upload(tmp_path / "pack", settings, "model", "publication_config.upload_model")
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
    with pytest.raises(ConfigError, match="is no name of a repository"):
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

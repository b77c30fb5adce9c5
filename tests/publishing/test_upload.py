"""Uploading a folder to a Hub that speaks the real protocol, and to one that fails."""

import logging
import os
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from espnet3.errors import ConfigError, DataError, Espnet3Error, TryAgain
from espnet3.publishing.upload import upload
from espnet3.systems.base.publication_config import Upload
from tests.hub.server import HubServer

KEY = "publication_config.upload_model"
FILES = {
    "README.md": b"---\nlicense: mit\n---\nA model.\n",
    "model.safetensors": bytes(range(256)) * 40,
    ".eval_results/test.yaml": b"- value: 1\n",
}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    folder = tmp_path / "pack"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def settings(hub: HubServer) -> Upload:
    return Upload(repo="me/model", endpoint=hub.address)


def changed(settings: Upload, **values: object) -> Upload:
    return settings.model_copy(update=values)


def test_upload_makes_a_private_repository_with_the_files(hub: HubServer, pack: Path, settings: Upload) -> None:
    done = upload(pack, settings, "model", KEY)
    assert hub.contents("me/model") == FILES
    assert hub.repo("me/model").private
    assert set(done.added) == set(FILES)


@pytest.mark.parametrize("mark", [".lease", "..lease.7.0123abcd.tmp"])
def test_the_marks_of_who_owned_a_pack_are_no_part_of_it(
    hub: HubServer, pack: Path, settings: Upload, mark: str
) -> None:
    (pack / mark).write_text("vm pid 7 0123")
    upload(pack, settings, "model", KEY)
    assert hub.contents("me/model") == FILES


def test_large_files_go_through_lfs_and_others_do_not(hub: HubServer, pack: Path, settings: Upload) -> None:
    upload(pack, settings, "model", KEY)
    head = hub.repo("me/model").head()
    assert head is not None
    assert {path: file.large for path, file in head.files.items()} == {
        path: path.endswith(".safetensors") for path in FILES
    }


def test_a_space_is_made_for_gradio(hub: HubServer, pack: Path, settings: Upload) -> None:
    upload(pack, changed(settings, repo="me/demo", private=False), "space", KEY)
    repo = hub.repo("me/demo", "space")
    assert (repo.sdk, repo.private) == ("gradio", False)
    assert hub.contents("me/demo", "space") == FILES


def test_a_second_upload_changes_nothing(hub: HubServer, pack: Path, settings: Upload) -> None:
    upload(pack, settings, "model", KEY)
    assert upload(pack, settings, "model", KEY).empty
    assert len(hub.asked("POST", "/commit/")) == 1


def test_only_what_changed_is_sent(hub: HubServer, pack: Path, settings: Upload) -> None:
    upload(pack, settings, "model", KEY)
    (pack / "README.md").write_bytes(b"---\nlicense: mit\n---\nBetter.\n")
    done = upload(pack, changed(settings, commit_message="Say more"), "model", KEY)
    assert (done.changed, done.added) == (("README.md",), ())
    assert len(hub.asked("PUT", "/_large/")) == 1
    assert [commit.message for commit in hub.repo("me/model").branches["main"]][-1] == "Say more"


def test_a_revision_is_a_branch_of_its_own(hub: HubServer, pack: Path, settings: Upload) -> None:
    upload(pack, changed(settings, revision="v2"), "model", KEY)
    assert hub.contents("me/model", revision="v2") == FILES
    assert hub.contents("me/model") == {}


@pytest.mark.parametrize(
    ("patterns", "gone"),
    [
        pytest.param([], set(), id="nothing unless asked"),
        pytest.param(["*.bin"], {"old.bin"}, id="by pattern"),
        pytest.param(["*"], {"old.bin", "notes.txt"}, id="all but the Hub's own and ours"),
    ],
)
def test_remote_files_go_only_by_pattern(
    hub: HubServer, pack: Path, settings: Upload, patterns: list[str], gone: set[str]
) -> None:
    others = {"old.bin", "notes.txt", ".gitattributes"}
    old = pack.parent / "old"
    old.mkdir()
    for name in others:
        (old / name).write_text(name)
    upload(old, settings, "model", KEY)
    done = upload(pack, changed(settings, delete_patterns=patterns), "model", KEY)
    assert set(done.deleted) == gone
    assert set(hub.contents("me/model")) == set(FILES) | (others - gone)


def test_a_dry_run_says_what_it_would_do_and_does_nothing(
    hub: HubServer, pack: Path, settings: Upload, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    upload(pack, changed(settings, dry_run=True), "model", KEY)
    assert not hub.hub.store.repos
    assert {request.method for request in hub.requests} == {"GET"}
    assert "+ model.safetensors" in caplog.text
    assert "would be made private" in caplog.text


PASSING = [
    pytest.param({"status": 429, "path": "/revision/"}, id="too many requests"),
    pytest.param({"status": 503, "path": "/repos/create"}, id="unavailable when making the repository"),
    pytest.param({"status": 500, "path": "/commit/"}, id="server's fault at the commit"),
    pytest.param({"status": 520, "path": "/commit/"}, id="a proxy's fault at the commit"),
    pytest.param({"status": 0, "path": "/commit/"}, id="cut before the commit"),
    pytest.param({"status": 0, "path": "/commit/", "late": True}, id="cut after the commit"),
    pytest.param({"status": 502, "path": "/commit/", "late": True}, id="bad gateway after the commit"),
    pytest.param({"status": 0, "path": "/repos/create", "late": True}, id="cut after the repository was made"),
]


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_costs_another_try(
    hub: HubServer, pack: Path, settings: Upload, fault: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    hub.fail(**fault)  # type: ignore[arg-type]
    upload(pack, settings, "model", KEY)
    assert hub.contents("me/model") == FILES
    assert len(hub.repo("me/model").branches["main"]) == 2  # the first is the Hub's own


SOON, LATE = timedelta(minutes=4), timedelta(days=2)
WAITS = [
    pytest.param({}, 1, 1, id="without one"),
    pytest.param({"Retry-After": "7"}, 7, 7, id="seconds"),
    pytest.param({"Retry-After": "0"}, 0, 0, id="none"),
    pytest.param({"Retry-After": "300"}, 300, 300, id="the longest"),
    pytest.param({"Retry-After": "-5"}, 1, 1, id="no number"),
    pytest.param({"Retry-After": "soon"}, 1, 1, id="a word"),
    pytest.param({"Retry-After": SOON}, 30, 240, id="a date"),
    pytest.param({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0, 0, id="a date that has passed"),
    pytest.param({"Retry-After": "Fri, 31 Dec 99999 00:00:00 GMT"}, 1, 1, id="no date"),
    pytest.param({"RateLimit": '"api";r=0;t=55'}, 55, 55, id="the Hub's own limit"),
    pytest.param({"RateLimit": '"api";r=9;t=55', "Retry-After": "3"}, 3, 3, id="a limit that is not reached"),
]


def from_now(headers: dict[str, str | timedelta]) -> dict[str, str]:
    """Headers whose spans have become dates, counted from the moment of the test."""
    now = datetime.now(UTC)
    return {
        name: format_datetime(now + value, usegmt=True) if isinstance(value, timedelta) else value
        for name, value in headers.items()
    }


@pytest.mark.parametrize(("headers", "least", "most"), WAITS)
def test_the_next_try_comes_when_the_hub_asks_for_it(
    hub: HubServer,
    pack: Path,
    settings: Upload,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str | timedelta],
    least: float,
    most: float,
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("espnet3.publishing.upload.time.sleep", waited.append)
    hub.fail(429, path="/revision/", headers=from_now(headers))
    upload(pack, settings, "model", KEY)
    assert len(waited) == 1
    assert least <= waited[0] <= most


TOO_LONG = [
    pytest.param({"Retry-After": "86400"}, "wait 86400 s", id="a day"),
    pytest.param({"Retry-After": "301"}, "wait 301 s", id="a little more"),
    pytest.param({"Retry-After": "9" * 5000}, "wait inf s", id="for ever"),
    pytest.param({"Retry-After": LATE}, r"wait 17\d{4} s", id="a date"),
    pytest.param({"RateLimit": '"api";r=0;t=4000'}, "wait 4000 s", id="the Hub's own limit"),
]


@pytest.mark.parametrize(("headers", "says"), TOO_LONG)
@pytest.mark.parametrize("path", ["/revision/", "/preupload/", "/_large/", "/commit/"])
def test_nobody_sleeps_for_a_day(
    hub: HubServer,
    pack: Path,
    settings: Upload,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    headers: dict[str, str | timedelta],
    says: str,
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"slept {seconds}"))
    hub.fail(429, path=path, headers=from_now(headers), times=99)
    with pytest.raises(TryAgain, match=rf"^{hub.address} .*{says}, longer than the 300 s") as caught:
        upload(pack, settings, "model", KEY)
    assert caught.value.exit_code == 75


def test_an_interrupted_upload_goes_on(hub: HubServer, pack: Path, settings: Upload) -> None:
    hub.fail(403, path="/commit/")
    with pytest.raises(ConfigError):
        upload(pack, settings, "model", KEY)
    upload(pack, settings, "model", KEY)
    assert hub.contents("me/model") == FILES
    assert len(hub.asked("PUT", "/_large/")) == 1


LASTING = [
    pytest.param({"status": 401, "path": "/revision/"}, ConfigError, "HF_TOKEN", id="401"),
    pytest.param({"status": 402, "path": "/repos/create"}, ConfigError, "payment", id="402"),
    pytest.param({"status": 403, "path": "/repos/create"}, ConfigError, "may not write", id="403 creating"),
    pytest.param({"status": 403, "path": "/commit/"}, ConfigError, "may not write", id="403 committing"),
    pytest.param({"status": 404, "path": "/commit/"}, ConfigError, "me/model", id="404"),
    pytest.param({"status": 409, "path": "/commit/"}, TryAgain, "somebody else", id="409"),
    pytest.param({"status": 412, "path": "/commit/"}, TryAgain, "Somebody committed", id="412"),
    pytest.param({"status": 418, "path": "/commit/"}, ConfigError, "418", id="another refusal"),
    pytest.param({"status": 500, "path": "/revision/", "times": 9}, TryAgain, "just now", id="500 for good"),
    pytest.param({"status": 429, "path": "/repos/create", "times": 9}, TryAgain, "just now", id="429 for good"),
    pytest.param({"status": 0, "path": "/revision/", "times": 9}, TryAgain, "cannot be reached", id="cut for good"),
]


@pytest.mark.parametrize(("fault", "kind", "says"), LASTING)
def test_each_refusal_is_a_sentence_with_its_exit_code(
    hub: HubServer, pack: Path, settings: Upload, fault: dict[str, object], kind: type[Espnet3Error], says: str
) -> None:
    hub.fail(**fault)  # type: ignore[arg-type]
    with pytest.raises(kind, match=says) as caught:
        upload(pack, changed(settings, retries=1), "model", KEY)
    assert caught.value.exit_code == kind.exit_code
    assert str(caught.value).endswith(".") or str(caught.value).endswith("anew.")
    assert "hf_writer" not in str(caught.value)


def test_no_answer_at_the_port_is_a_passing_fault(pack: Path, settings: Upload) -> None:
    with pytest.raises(TryAgain, match="cannot be reached"):
        upload(pack, changed(settings, endpoint="http://127.0.0.1:9", retries=0), "model", KEY)


def test_a_token_that_only_reads_may_not_write(
    hub: HubServer, pack: Path, settings: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_reader")
    with pytest.raises(ConfigError, match="may not write"):
        upload(pack, settings, "model", KEY)


def test_a_wrong_token_is_told_so(
    hub: HubServer, pack: Path, settings: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_nobody")
    with pytest.raises(ConfigError, match="does not accept the token") as caught:
        upload(pack, settings, "model", KEY)
    assert "hf_nobody" not in str(caught.value)


def test_no_token_is_told_before_any_request(
    hub: HubServer, pack: Path, settings: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ConfigError, match="HF_TOKEN"):
        upload(pack, settings, "model", KEY)
    assert not hub.requests


def test_a_public_repository_gets_nothing_private(hub: HubServer, pack: Path, settings: Upload) -> None:
    upload(pack, changed(settings, private=False), "model", KEY)
    (pack / "README.md").write_text("secret")
    with pytest.raises(ConfigError, match="is public"):
        upload(pack, settings, "model", KEY)
    assert hub.contents("me/model") == FILES


@pytest.mark.parametrize("repo", ["me/../x", "a b/c", "me/" + "x" * 200])
def test_a_name_that_is_none_is_refused(hub: HubServer, pack: Path, settings: Upload, repo: str) -> None:
    with pytest.raises(ConfigError, match="upload_model"):
        upload(pack, changed(settings, repo=repo), "model", KEY)
    assert not hub.hub.store.repos


def test_without_a_repository_nothing_is_uploaded_and_the_log_says_so(
    hub: HubServer, pack: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert upload(pack, Upload(), "model", KEY).empty
    assert f"{KEY}.repo is not set" in caplog.text
    assert not hub.requests


def test_a_missing_an_empty_and_a_linked_folder_are_refused(settings: Upload, pack: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (pack / "link").symlink_to("/etc/hostname")
    for folder, says in [(tmp_path / "none", "not exist"), (tmp_path / "empty", "is empty"), (pack, "links")]:
        with pytest.raises(DataError, match=says):
            upload(folder, settings, "model", KEY)


OWN = [pytest.param(None, id="none of one's own"), pytest.param("http://127.0.0.1:9/", id="one's own")]


@pytest.mark.parametrize("own", OWN)
def test_an_endpoint_counts_for_its_own_upload_only(
    hub: HubServer, other_hub: HubServer, pack: Path, settings: Upload, monkeypatch: pytest.MonkeyPatch, own: str | None
) -> None:
    if own is None:
        monkeypatch.delenv("HF_ENDPOINT")
    else:
        monkeypatch.setenv("HF_ENDPOINT", own)
    upload(pack, settings, "model", KEY)
    upload(pack, changed(settings, endpoint=other_hub.address + "/"), "space", KEY)
    assert os.environ.get("HF_ENDPOINT") == own
    assert (hub.contents("me/model"), other_hub.contents("me/model", "space")) == (FILES, FILES)
    assert len(hub.hub.store.repos) == len(other_hub.hub.store.repos) == 1
    (pack / "README.md").write_text("A better model.")
    monkeypatch.setenv("HF_ENDPOINT", other_hub.address)
    upload(pack, changed(settings, endpoint=None), "space", KEY)
    assert other_hub.contents("me/model", "space")["README.md"] == b"A better model."
    assert hub.contents("me/model") == FILES


def test_the_token_is_in_no_log(hub: HubServer, pack: Path, settings: Upload, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hub.fail(503, path="/commit/")
    upload(pack, settings, "model", KEY)
    assert "hf_writer" not in caplog.text
    assert "/_large/" not in caplog.text  # addresses of a Hub's storage carry signatures

"""`python -m tests.hub`, as cluster tests start it for their pods."""

import subprocess
import sys
from pathlib import Path

import pytest

from espnet3.publishing.upload import upload
from espnet3.systems.base.publication_config import Upload
from tests.hub.fixtures import alone, hub

__all__ = ["alone", "hub"]


@pytest.mark.usefixtures("hub")
def test_the_process_takes_an_upload_fails_on_demand_and_tells_what_was_asked(tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/model.safetensors").write_bytes(bytes(5000))
    command = [sys.executable, "-m", "tests.hub", "--host", "0.0.0.0", "--fault", "503,POST,/commit/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip().replace("0.0.0.0", "127.0.0.1")
        settings = Upload(repo="me/model", endpoint=address)
        upload(tmp_path / "pack", settings, "model", "publication_config.upload_model")
        assert upload(tmp_path / "pack", settings, "model", "publication_config.upload_model").empty
        process.terminate()
        lines = process.stdout.read().splitlines()
    assert process.returncode == 0
    commit = "POST /api/models/me/model/commit/main"
    assert [line for line in lines if line.startswith(commit)] == [f"{commit} 503", f"{commit} 200"]
    assert sum(line.startswith("PUT /_large/") for line in lines) == 1

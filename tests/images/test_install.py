"""What the builds install, and from where."""

import os
from pathlib import Path

import pytest

from images import network
from images.catalog import ROOT
from images.inside import install

INFER = install.blocks((ROOT / "requirements/infer.txt").read_text("utf-8"))


def test_blocks_keep_hashes_and_both_markers_of_a_name() -> None:
    entries = [
        "numpy==2.4 ; python_version < '3.12' \\\n    --hash=sha256:a\n    # via x\n",
        "numpy==2.5 ; a \\\n    --hash=sha256:b\n",
        "rich==1 \\\n",
    ]
    found = install.blocks("".join(entries))
    assert list(found) == ["numpy", "rich"]
    assert found["numpy"].count("--hash") == 2


@pytest.mark.parametrize(
    ("device", "index", "there", "missing"),
    [
        ("cpu", "", {"torch", "nvidia-cuda-runtime", "numpy"}, {"nvidia-cublas", "triton", "cuda-bindings"}),
        ("cpu", "https://wheels.example.org", {"numpy"}, {"torch", "nvidia-cuda-runtime", "triton"}),
        ("cuda", "", set(INFER), set()),
    ],
    ids=["slimmed", "from an index", "cuda"],
)
def test_what_a_device_needs(device: str, index: str, there: set[str], missing: set[str]) -> None:
    chosen = {name for name in INFER if install.wanted(name, device, index)}
    assert there <= chosen
    assert not missing & chosen
    assert missing <= set(INFER)


def test_secrets_reach_the_installer(tmp_path: Path) -> None:
    (tmp_path / "network").write_text("HTTPS_PROXY=http://p:1\nUV_DEFAULT_INDEX=https://i/?a=b", encoding="utf-8")
    (tmp_path / "certificates").write_text("PEM", encoding="utf-8")
    (tmp_path / "uv").write_text("", encoding="utf-8")
    found = install.environment(tmp_path)
    assert found["HTTPS_PROXY"] == "http://p:1"
    assert found["UV_DEFAULT_INDEX"] == "https://i/?a=b"
    assert found["SSL_CERT_FILE"] == found["PIP_CERT"] == str(tmp_path / "certificates")
    assert "UV_CONFIG_FILE" not in found or found["UV_CONFIG_FILE"] == os.environ.get("UV_CONFIG_FILE")


PIP = {"index-url": "https://a/simple", "extra-index-url": "\\nhttps://b/simple\\nhttps://c/simple"}


def test_pip_s_settings_are_told_to_uv() -> None:
    found = network.environment({"HTTP_PROXY": "http://p", "HOME": "/root", "PIP_FIND_LINKS": "/wheels"}, PIP)
    assert found == {
        "HTTP_PROXY": "http://p",
        "PIP_INDEX_URL": "https://a/simple",
        "UV_DEFAULT_INDEX": "https://a/simple",
        "PIP_EXTRA_INDEX_URL": "https://b/simple https://c/simple",
        "UV_INDEX": "https://b/simple https://c/simple",
    }


def test_uv_s_own_setting_comes_first() -> None:
    assert network.environment({"UV_DEFAULT_INDEX": "https://u"}, PIP)["UV_DEFAULT_INDEX"] == "https://u"


@pytest.mark.parametrize(
    ("machine", "pip", "expected"),
    [({"SSL_CERT_FILE": "/a"}, {"cert": "/b"}, "/a"), ({}, {"cert": "/b"}, "/b"), ({}, {}, "")],
    ids=["environment", "pip", "none"],
)
def test_certificates(machine: dict[str, str], pip: dict[str, str], expected: str) -> None:
    assert network.certificates(machine, pip) == expected


def test_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    files = network.write_secrets(tmp_path)
    assert set(files) == {"network", "certificates", "uv"}
    assert {file.stat().st_mode & 0o777 for file in files.values()} == {0o600}

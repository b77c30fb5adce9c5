"""Reading archives: layers, sizes, files of the upper layer."""

from pathlib import Path

import pytest

from images import archive, sbom, sizes
from images.catalog import BUDGETS, Variant
from tests.images.archives import image


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_the_file_of_the_upper_layer_wins(tmp_path: Path) -> None:
    made = image(tmp_path / "a.tar", {"./etc/a": b"below", "./etc/b": b"below"}, {"etc/a": b"above"})
    assert archive.files(made, "etc/.") == {"etc/a": b"above", "etc/b": b"below"}
    assert archive.config(made)["config"]["User"] == "10001:0"


def test_sizes_are_compressed_and_remembered(tmp_path: Path) -> None:
    made = image(tmp_path / "a.tar", {"zeros": bytes(1_000_000)})
    ((digest, size),) = archive.compressed_sizes(made).items()
    assert 0 < size < 10_000
    assert digest in (tmp_path / "cache/espnet3/images/zstd.json").read_text(encoding="utf-8")
    assert archive.compressed_sizes(made) == {digest: size}


def test_the_table_tells_base_and_project() -> None:
    made = {
        "data": {"base": 30_000_000, "d": 50_000_001, "p": 3_000_000},
        "measure": {"base": 30_000_000, "p": 3_000_000},
    }
    table = sizes.table(made).splitlines()
    assert table[2:] == ["| data | 84 | 130 | 33 | 3.0 |", "| measure | 33 | 110 | 33 | 3.0 |"]


def test_too_large_an_image_is_told() -> None:
    large = {"measure": {"a": BUDGETS["measure"] * 1_000_000 + 1}, "publish": {"a": 1}, "demo": {"a": 10**9}}
    assert sizes.over_budget(large) == ["measure has 111 MB, may have 110"]


def test_the_readme_gets_the_table(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- sizes -->\nold\n<!-- end of sizes -->\nafter\n", encoding="utf-8")
    sizes.rewrite(readme, "new\n")
    assert readme.read_text(encoding="utf-8") == "before\n<!-- sizes -->\nnew\n<!-- end of sizes -->\nafter\n"


STATUS = b"""Package: tini
Status: install ok installed
Architecture: amd64
Version: 0.19.0-1+b3

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1
"""
METADATA = b"Metadata-Version: 2.4\nName: ruamel.yaml\nVersion: 0.18\nLicense-Expression: MIT\n\nBody\nName: other\n"


def test_the_sbom_lists_what_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("images.catalog.BUILT", tmp_path)
    packages = "opt/venv/lib/python3.11/site-packages/ruamel.yaml-0.18.dist-info/METADATA"
    image(tmp_path / "data.tar", {sbom.DPKG: STATUS}, {packages: METADATA})
    sbom.write(Variant("1.0"), "data")
    text = (tmp_path / "data.sbom.json").read_text(encoding="utf-8")
    assert '"pkg:deb/debian/tini@0.19.0-1%2Bb3?arch=amd64"' in text
    assert '"pkg:pypi/ruamel-yaml@0.18"' in text
    assert "gone" not in text
    assert "other" not in text
    sbom.write(Variant("1.0"), "data")
    assert (tmp_path / "data.sbom.json").read_text(encoding="utf-8") == text

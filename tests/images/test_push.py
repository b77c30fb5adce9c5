"""The file of digests that the generator reads."""

import json
from pathlib import Path

import pytest

from espnet3.errors import ConfigError
from images import push
from images.catalog import Variant
from images.engine import Engine


def read(file: Path) -> dict[str, dict[str, str]]:
    content: dict[str, dict[str, str]] = json.loads(file.read_text("utf-8"))
    return content


def test_what_was_pushed_to_the_same_place_stays_listed(tmp_path: Path) -> None:
    file = tmp_path / "digests.json"
    push.write_digests(Variant("1"), "r", {"data": "r/d@1", "train": "r/t@1"}, file)
    push.write_digests(Variant("1"), "r", {"train": "r/t@2"}, file)
    assert read(file) == {"registry": "r", "version": "1", "images": {"data": "r/d@1", "train": "r/t@2"}}


@pytest.mark.parametrize(
    ("variant", "registry"), [(Variant("2"), "r"), (Variant("1"), "s"), (Variant("1", "cuda"), "r")]
)
def test_another_version_or_place_starts_anew(tmp_path: Path, variant: Variant, registry: str) -> None:
    file = tmp_path / "digests.json"
    push.write_digests(Variant("1"), "r", {"data": "r/d@1"}, file)
    push.write_digests(variant, registry, {"train": "x"}, file)
    assert read(file)["images"] == {"train": "x"}


@pytest.mark.parametrize(
    ("registry", "said"),
    [
        ("r", "podman has no image localhost/espnet3-train:1: run `make images` first"),
        ("", "no registry is named: `make push REGISTRY="),
    ],
    ids=["an image that is not built", "no registry"],
)
def test_what_is_missing_is_named_before_anything_is_pushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registry: str, said: str
) -> None:
    log = tmp_path / "log"
    words = f'#!/bin/sh\necho "$1" >> {log}\ncase "$*" in *espnet3-train*) exit 1;; esac\n'
    (tmp_path / "podman").write_text(words, encoding="utf-8")
    (tmp_path / "podman").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ConfigError) as refused:
        push.push(Engine("podman"), Variant("1"), registry, ["data", "train"])
    assert said in str(refused.value)
    assert not log.exists() or "push" not in log.read_text("utf-8")

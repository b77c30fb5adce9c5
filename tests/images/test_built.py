"""The images that are built here: what they weigh, what they hold, how they run, and that a registry takes them."""

import json
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from images import archive, push, sandbox, sizes
from images.catalog import NAMES, ROOT, Variant, version
from images.engine import Engine
from images.inside.install import blocks, wanted
from tests.images import registry

VARIANT = Variant(version())
MISSING = [image for image in NAMES if not VARIANT.key(image).exists()]
BUILDAH = bool(shutil.which("buildah")) and os.geteuid() == 0 and Engine("buildah").has(VARIANT.reference("measure"))
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not built here: {', '.join(MISSING)}; make images")
needs_buildah = pytest.mark.skipif(not BUILDAH, reason="needs root, buildah and images that it built: make images")


@pytest.mark.parametrize("image", NAMES)
def test_an_image_keeps_to_its_budget_and_the_readme_s_table(image: str) -> None:
    measured = sizes.measured(VARIANT)
    assert sizes.over_budget(measured) == []
    row = re.search(rf"^\| {image} \| (\d+) \|", sizes.TABLE.findall(sizes.README.read_text("utf-8"))[0], re.MULTILINE)
    assert row
    assert sizes.megabytes(sum(measured[image].values())) == pytest.approx(int(row[1]), rel=0.05)


@pytest.mark.parametrize("image", NAMES)
def test_an_image_says_how_it_runs(image: str) -> None:
    settings = archive.config(VARIANT.archive(image))["config"]
    assert settings["User"] == "10001:0"
    assert settings["Entrypoint"] == ["tini", "--", "python", "-m", "stages"]
    assert settings["StopSignal"] == "SIGTERM"
    assert settings["Labels"]["org.opencontainers.image.version"] == version()
    commit = settings["Labels"]["org.opencontainers.image.revision"]
    assert re.match(r"[0-9a-f]{40}", commit)
    assert f"ESPNET3_COMMIT={commit}" in settings["Env"]


@pytest.mark.parametrize("image", NAMES)
def test_an_image_holds_its_requirements_and_nothing_of_the_build(image: str) -> None:
    listed = json.loads(VARIANT.sbom(image).read_text("utf-8"))["components"]
    purls = {part["purl"].partition("?")[0] for part in listed}
    entries = blocks((ROOT / f"requirements/{image}.txt").read_text("utf-8"))
    expected = {name for name in entries if wanted(name, "cpu", "")}
    present = {purl.removeprefix("pkg:pypi/").partition("@")[0]: purl for purl in purls if purl.startswith("pkg:pypi/")}
    assert set(present) - {"espnet3"} <= expected
    assert {"omegaconf", "espnet3"} <= set(present)
    assert not any(re.match(r"pkg:deb/debian/(gcc|apt|perl|python3-pip|binutils)@", purl) for purl in purls)
    leaked = archive.files(VARIANT.archive(image), r"(run/secrets|root/\.cache|build|opt/uv)/.*|etc/pip\.conf")
    assert sorted(leaked) == []


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    os.chown(folder, sandbox.USER, sandbox.GROUP)
    return folder


LOOK = """
import json, os, socket
try:
    open("/file", "w")
    written = True
except OSError:
    written = False
open("/workspace/file", "w").close()
open("/tmp/file", "w").close()
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
links = [name for _, name in socket.if_nameindex()]
print(json.dumps([os.getuid(), os.getgid(), written, status["CapEff"].strip(), links]))
"""


@needs_buildah
def test_a_container_is_confined(workspace: Path) -> None:
    task = sandbox.Task(("tini", "--", "python", "-c", LOOK), workspace)
    done = sandbox.run(Engine("buildah"), VARIANT.reference("measure"), task)
    assert json.loads(done.stdout) == [10001, 0, False, "0" * 16, ["lo"]], done.stdout


@needs_buildah
def test_too_much_memory_is_refused(workspace: Path) -> None:
    task = sandbox.Task(("tini", "--", "python", "-c", "x = b'x' * (200 << 20)"), workspace, memory=64 << 20)
    assert sandbox.run(Engine("buildah"), VARIANT.reference("measure"), task).returncode == 137


@needs_buildah
@pytest.mark.parametrize("image", NAMES)
def test_every_image_has_the_entrypoint(image: str, workspace: Path) -> None:
    task = sandbox.Task(("tini", "--", "python", "-m", "stages", "doctor", "/workspace"), workspace)
    done = sandbox.run(Engine("buildah"), VARIANT.reference(image), task)
    assert done.returncode == 0, done.stdout


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    if registry.program() is None:
        pytest.skip(f"needs {registry.NAME}, which is neither installed nor to be had from Debian")
    with registry.serving(tmp_path) as address:
        yield address


@needs_buildah
def test_a_registry_takes_them_and_the_digests_are_written(address: str, tmp_path: Path) -> None:
    pushed = push.push(Engine("buildah"), VARIANT, f"{address}/speech", ["measure"])
    push.write_digests(VARIANT, f"{address}/speech", pushed, tmp_path / "digests.json")
    name, _, digest = json.loads((tmp_path / "digests.json").read_text("utf-8"))["images"]["measure"].partition("@")
    assert name == f"{address}/speech/espnet3-measure"
    request = urllib.request.Request(f"http://{address}/v2/speech/espnet3-measure/manifests/{digest}")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    with urllib.request.urlopen(request) as answer:
        layers = json.load(answer)["layers"]
    measured = sum(sizes.measured(VARIANT)["measure"].values())
    assert sum(layer["size"] for layer in layers) == pytest.approx(measured, rel=0.05)
    assert push.push(Engine("buildah"), VARIANT, f"{address}/speech", ["measure"]) == pushed

"""Build the images: the shared bases, the project's wheel, then one image after another; skip what is there already.

`python -m images build` calls `build`. An image's key is the digest of everything that goes into it; an image whose
key is known, and whose archive and name are there, is done. Under that, the engine's own layer cache keeps
dependencies apart from the project.
"""

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from images import debian, network, sbom
from images.catalog import BUILT, FOLDER, LOCAL, ROOT, WITH_TORCH, Variant
from images.engine import Engine, Recipe

log = logging.getLogger(__name__)
DEFAULT_BASE = "docker.io/library/python:3.13-slim-trixie"


@dataclass
class Build:
    """One run of the builder: the engine, the context folder and what the Dockerfiles are told."""

    engine: Engine
    variant: Variant
    scratch: Path
    torch_index: str = ""
    commit: str = ""  # of the wheel: what is committed while it builds is not in it
    secrets: dict[str, Path] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)  # build argument -> image

    @property
    def context(self) -> Path:
        """The folder that a build sees: requirement files, what runs inside the builds, the wheel."""
        return self.scratch / "context"


def build(engine: Engine, variant: Variant, images: Iterable[str], torch_index: str = "") -> None:
    """Build the named images, write their archives and SBOMs, and say what each took."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        run = Build(engine, variant, Path(scratch), torch_index, commit())
        (run.scratch / "secrets").mkdir(mode=0o700)
        run.secrets = network.write_secrets(run.scratch / "secrets")
        fill_context(run.context)
        _timed("bases", _build_bases, run)
        names = list(images)
        if set(WITH_TORCH) & set(names):
            _timed("torch", _build_torch, run)
        for image in names:
            _timed(image, _build_image, run, image)


def _timed(what: str, step: object, *args: object) -> None:
    start = time.monotonic()
    assert callable(step)
    step(*args)
    log.info("%s: %.0f s", what, time.monotonic() - start)


def fill_context(context: Path) -> None:
    """Gather what the builds read, with the project's wheel."""
    (context / "project").mkdir(parents=True)
    shutil.copytree(ROOT / "requirements", context / "requirements")
    shutil.copytree(FOLDER / "inside", context / "images/inside", ignore=shutil.ignore_patterns("__pycache__"))
    build_wheel(context / "project")


def build_wheel(folder: Path) -> None:
    """Build the project's wheel, without downloading a builder: the same sources make the same bytes."""
    with tempfile.TemporaryDirectory() as scratch:  # setuptools leaves a build folder in the tree that it builds
        tree = Path(scratch, "tree")
        for name in _tracked():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tree / name)
        uv = [str(Path(sys.executable).parent / "uv"), "build", "--quiet", "--wheel", "--no-build-isolation"]
        command = [*uv, "--python", sys.executable, "--out-dir", str(folder), str(tree)]
        subprocess.run(command, check=True, env=os.environ | {"SOURCE_DATE_EPOCH": debian.EPOCH})
    (folder / ".gitignore").unlink(missing_ok=True)


def _tracked() -> list[str]:
    """The project's files that the wheel is made of, those not yet committed included."""
    parts = ["espnet3", "stages", "egs3", "pyproject.toml", "README.md", "LICENSE"]
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *parts]
    found = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(name for name in set(found.split("\0")) if name and (ROOT / name).is_file())


def _build_bases(run: Build) -> None:
    """Make the images that the others start from, on the default base or on Debian's packages."""
    base = os.environ.get("BASE", "")
    if not base and run.engine.pulls(DEFAULT_BASE):
        base = DEFAULT_BASE
    bases = {"BASE": base, "BUILDER_BASE": base} if base else _debian_bases(run)
    for target in ("runtime", "builder"):
        parts = [FOLDER / "base/Dockerfile"]
        parts += [run.context / "images", run.context / "requirements/setup.txt"] if target == "builder" else []
        key = digest(parts, *bases.values())
        reference = f"{LOCAL}/espnet3-{target}:{key}"
        if not run.engine.has(reference):
            recipe = Recipe(FOLDER / "base/Dockerfile", run.context, target, bases, run.secrets)
            run.engine.build(recipe, reference)
        run.shared[target.upper()] = reference


def _debian_bases(run: Build) -> dict[str, str]:
    names = {"runtime": "BASE", "builder": "BUILDER_BASE"}
    found = {}
    for part, root in debian.bases().items():
        reference = f"{LOCAL}/espnet3-{root.stem}"
        if not run.engine.has(reference):
            context = run.scratch / part
            context.mkdir()
            os.link(root, context / "root.tar") if root.stat().st_dev == context.stat().st_dev else shutil.copyfile(
                root, context / "root.tar"
            )
            run.engine.build(Recipe(FOLDER / "debian/Dockerfile", context), reference)
        found[names[part]] = reference
    return found


def _build_torch(run: Build) -> None:
    """Make the layer that train and infer share."""
    requirements = [run.context / f"requirements/{image}.txt" for image in WITH_TORCH]
    parts = [FOLDER / "torch/Dockerfile", *requirements]
    reference = f"{LOCAL}/espnet3-torch:{digest(parts, run.shared['BUILDER'], run.variant.device, run.torch_index)}"
    if not run.engine.has(reference):
        arguments = {"BUILDER": run.shared["BUILDER"], "DEVICE": run.variant.device, "TORCH_INDEX": run.torch_index}
        run.engine.build(Recipe(FOLDER / "torch/Dockerfile", run.context, "", arguments, run.secrets), reference)
    run.shared["TORCH"] = reference


def _build_image(run: Build, image: str) -> None:
    """Make one image with its archive and SBOM, unless what it is made of is what it was made of."""
    reference = run.variant.reference(image)
    shared = {key: value for key, value in run.shared.items() if key != "TORCH" or image in WITH_TORCH}
    arguments = shared | {"VERSION": run.variant.version, "COMMIT": run.commit}
    files = [FOLDER / image / "Dockerfile", run.context / f"requirements/{image}.txt"]
    key = digest(files, wheel_digest(run.context / "project"), *arguments.values())
    mark, saved = run.variant.key(image), run.variant.archive(image)
    if mark.exists() and mark.read_text(encoding="ascii") == key and saved.exists() and run.engine.has(reference):
        return
    mark.unlink(missing_ok=True)
    run.engine.build(Recipe(FOLDER / image / "Dockerfile", run.context, "", arguments, run.secrets), reference)
    run.engine.save(reference, saved)
    sbom.write(run.variant, image)
    mark.write_text(key, encoding="ascii")


def commit() -> str:
    """The commit that the images are built from, marked where the tree has changes."""
    described = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty"]
    return subprocess.run(described, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def digest(paths: Iterable[Path], *values: str) -> str:
    """A digest of files, folders and values; names count, dates do not."""
    total = hashlib.sha256(repr(values).encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                total.update(f"{file.relative_to(path)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]


def wheel_digest(folder: Path) -> str:
    """A digest of the files in a wheel."""
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archived:
        return hashlib.sha256(
            repr(sorted((i.filename, i.CRC, i.file_size) for i in archived.infolist())).encode()
        ).hexdigest()

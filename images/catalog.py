"""Which images there are, what they are called, and what they may weigh. The other modules of this package read it."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "images"
BUILT = ROOT / "build/images"  # archives, SBOMs and keys; git-ignored
DIGESTS = FOLDER / "digests.json"  # what was pushed; git-ignored, read by the generator
NAMES = ("data", "train", "infer", "measure", "publish", "demo")
WITH_TORCH = ("train", "infer")
BUDGETS = {
    "data": 130,
    "train": 400,
    "infer": 320,
    "measure": 110,
    "publish": 90,
}  # compressed megabytes of the CPU images
DEVICES = ("cpu", "cuda")
LOCAL = "localhost"


@dataclass(frozen=True)
class Variant:
    """One build of the images: which version of the project, for which device."""

    version: str
    device: str = "cpu"

    @property
    def tag(self) -> str:
        """The tag of an image: the version, and the device where it is not the CPU."""
        return self.version if self.device == "cpu" else f"{self.version}-{self.device}"

    def reference(self, image: str, registry: str = LOCAL) -> str:
        """The name that an image goes by in a registry; without one it is this machine's."""
        return f"{registry}/espnet3-{image}:{self.tag}"

    def archive(self, image: str) -> Path:
        """The archive that `make images` leaves for clusters without a registry."""
        return BUILT / f"{image}{self._suffix}.tar"

    def sbom(self, image: str) -> Path:
        """The list of what is inside an image."""
        return BUILT / f"{image}{self._suffix}.sbom.json"

    def key(self, image: str) -> Path:
        """The digest of everything that the image was built from."""
        return BUILT / f"{image}{self._suffix}.key"

    @property
    def _suffix(self) -> str:
        return "" if self.device == "cpu" else f"-{self.device}"


def version() -> str:
    """The project's version, which is the images' too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])

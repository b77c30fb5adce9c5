"""A software bill of materials beside each image, in CycloneDX: Debian's packages and Python's, with versions and
licences.

The build calls `write`. The lists come from the image's archive itself, not from what the build was told to install.
"""

import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from email.parser import Parser

from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from images import archive
from images.catalog import Variant

DPKG = "var/lib/dpkg/status"
DPKG_PARTS = r"var/lib/dpkg/status\.d/[^/]+"  # where images without a package manager keep theirs
METADATA = r"opt/venv/lib/python3\.\d+/site-packages/[^/]+\.dist-info/METADATA"


def write(variant: Variant, image: str) -> None:
    """Write the SBOM of an image whose archive is there."""
    found = archive.files(variant.archive(image), f"{DPKG}|{DPKG_PARTS}|{METADATA}")
    root = Component(
        name=f"espnet3-{image}", version=variant.tag, type=ComponentType.CONTAINER, bom_ref=f"espnet3-{image}"
    )
    bom = Bom(components=components(found), metadata=BomMetaData(component=root))
    bom.register_dependency(root, bom.components)
    # Named after what it lists, dated like the files: the same image has the same SBOM.
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, archive.config(variant.archive(image))["rootfs"]["diff_ids"][-1])
    bom.metadata.timestamp = datetime.fromtimestamp(0, UTC)
    variant.sbom(image).write_text(JsonV1Dot6(bom).output_as_string(indent=1) + "\n", encoding="utf-8")


def components(found: dict[str, bytes]) -> list[Component]:
    """One component per Debian or Python package that the files describe."""
    made = []
    for path, content in sorted(found.items()):
        text = content.decode("utf-8", errors="replace")
        made += [python_component(text)] if path.endswith("METADATA") else list(debian_components(text))
    return made


def python_component(metadata: str) -> Component:
    """The component of a Python distribution, from its METADATA."""
    fields = Parser().parsestr(metadata, headersonly=True)
    name, version = fields["Name"], fields["Version"]
    licence = fields["License-Expression"] or (fields["License"] or "").split("\n")[0]
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        purl=PackageURL("pypi", None, re.sub(r"[-_.]+", "-", name).lower(), version),
        bom_ref=f"pypi:{name}",
        licenses=[DisjunctiveLicense(name=licence)] if licence else [],
    )


def debian_components(status: str) -> Iterator[Component]:
    """The components of the installed packages in dpkg's status."""
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Architecture|Status): (.*)$", paragraph, re.MULTILINE))
        if "Package" in fields and fields.get("Status", "install ok installed") == "install ok installed":
            purl = PackageURL("deb", "debian", fields["Package"], fields["Version"], {"arch": fields["Architecture"]})
            name = fields["Package"]
            yield Component(
                name=name, version=fields["Version"], type=ComponentType.LIBRARY, purl=purl, bom_ref=f"deb:{purl}"
            )

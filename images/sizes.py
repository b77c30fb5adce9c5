"""The table of compressed sizes in images/README.md, and whether each image keeps to its budget.

`python -m images sizes` prints it and rewrites it in the README; a test holds the images that are built here to it.
"""

import re
from pathlib import Path

from images import archive
from images.catalog import BUDGETS, FOLDER, NAMES, Variant

README = FOLDER / "README.md"
TABLE = re.compile(r"(?<=<!-- sizes -->\n).*?(?=<!-- end of sizes -->)", re.DOTALL)
MEGABYTE = 1_000_000


def measured(variant: Variant) -> dict[str, dict[str, int]]:
    """Compressed bytes of each layer of each image that is built, by image and layer."""
    built = [image for image in NAMES if variant.archive(image).exists()]
    return {image: archive.compressed_sizes(variant.archive(image)) for image in built}


def table(sizes: dict[str, dict[str, int]]) -> str:
    """The sizes as a Markdown table: the whole, its base, and what a change of the project alone re-pulls."""
    rows = ["| image | compressed MB | budget | of it the base | of it the project |", "|---|---|---|---|---|"]
    for image, layer_sizes in sizes.items():
        parts = list(layer_sizes.values())
        cells = [
            megabytes(sum(parts)),
            BUDGETS.get(image, ""),
            megabytes(base_size(sizes)),
            f"{parts[-1] / MEGABYTE:.1f}",
        ]
        rows.append(f"| {image} | {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(rows) + "\n"


def base_size(sizes: dict[str, dict[str, int]]) -> int:
    """Compressed bytes of the layers that all images have in common."""
    common = set.intersection(*(set(layers) for layers in sizes.values()))
    return sum(size for digest, size in next(iter(sizes.values())).items() if digest in common)


def megabytes(size: int) -> int:
    """Bytes as whole megabytes, rounded up."""
    return -(-size // MEGABYTE)


def over_budget(sizes: dict[str, dict[str, int]]) -> list[str]:
    """A sentence for each image that weighs more than it may."""
    totals = {image: sum(layers.values()) for image, layers in sizes.items()}
    return [
        f"{image} has {megabytes(size)} MB, may have {BUDGETS[image]}"
        for image, size in totals.items()
        if image in BUDGETS and size > BUDGETS[image] * MEGABYTE
    ]


def rewrite(readme: Path, text: str) -> None:
    """Put a new table into the README."""
    readme.write_text(TABLE.sub(lambda _: text, readme.read_text(encoding="utf-8")), encoding="utf-8")

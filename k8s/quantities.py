"""Kubernetes' amounts, such as `500m` of a processor and `16Gi` of memory: which make sense, and which is smaller.

`settings` and `values` check with `fault_of` what is written in YAML, `containers` compares. Kubernetes itself takes
half a byte of memory and makes a pod of it that never starts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

_SUFFIXES = {"m": Decimal("0.001"), "": Decimal(1)}
_SUFFIXES |= {suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)}
_SUFFIXES |= {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)}
_NUMBER = r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+"
_QUANTITY = re.compile(rf"({_NUMBER})(m|[kMGTPE]|[KMGTPE]i)?")


@dataclass(frozen=True)
class Resource:
    """What is measured, and between which amounts of it a stage or a volume can live."""

    name: str
    suffixes: str
    """A pattern of those that make sense for it."""
    least: str
    most: str
    examples: str
    units: tuple[str, ...]
    """Suffixes that may be meant where another, or none, was written."""


CPU = Resource("processors", "m?", "10m", "4096", "8 or 500m", ("",))
MEMORY = Resource("memory", "[kMGTPE]?|[KMGTPE]i", "64Mi", "64Ti", "512Mi or 16Gi", ("Gi", "Mi"))
STORAGE = Resource("bytes", "[kMGTPE]?|[KMGTPE]i", "1Mi", "8Ei", "20Gi or 1Ti", ("Gi", "Ti"))


def fault_of(quantity: str, resource: Resource) -> str | None:
    """What is wrong with an amount, as a sentence that says what is accepted; None where nothing is."""
    if _is_right(quantity, resource):
        return None
    says = (
        f"should be an amount of {resource.name} from {resource.least} to {resource.most}, such as {resource.examples}"
    )
    meant = next(_meant(quantity, resource), None)
    return f"{says}; did you mean {meant}?" if meant else says


def amount(quantity: str) -> Decimal:
    """The number that a quantity stands for.

    Raises:
        ValueError: it is not a quantity.
    """
    found = _QUANTITY.fullmatch(quantity)
    if not found:
        raise ValueError(f"{quantity!r} is not an amount of Kubernetes")
    return Decimal(found[1]) * _SUFFIXES[found[2] or ""]


def smaller(asked: str, most: str) -> str:
    """`asked`, or `most` where that is less; an empty `most` is not a limit."""
    return most if most and amount(most) < amount(asked) else asked


def _is_right(quantity: str, resource: Resource) -> bool:
    if not re.fullmatch(rf"(?:{_NUMBER})(?:{resource.suffixes})", quantity):
        return False
    return amount(resource.least) <= amount(quantity) <= amount(resource.most)


def _meant(quantity: str, resource: Resource) -> Iterator[str]:
    """What a quantity with a wrong or without a unit, or in another notation of numbers, may stand for."""
    found = re.fullmatch(r"\s*[+0_]*([0-9][0-9_]*(?:\.[0-9]+)?)\s*([kmgtpe]?)i?b?(?:yte)?s?\s*", quantity.lower())
    if not found:
        return
    number, unit = found[1].replace("_", ""), found[2].upper()
    without = () if unit == "M" else ("",)  # a thousandth of a processor is not a whole one
    for suffix in (f"{unit}i", *without) if unit else resource.units:
        if _is_right(f"{number}{suffix}", resource):
            yield f"{number}{suffix}"

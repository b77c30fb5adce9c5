"""Kubernetes' amounts, such as `500m` and `16Gi`, compared.

`containers` calls it. It knows the suffixes that the chart's schema allows.
"""

import re
from decimal import Decimal

_SUFFIXES = {"m": Decimal("0.001"), "": Decimal(1)}
_SUFFIXES |= {suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)}
_SUFFIXES |= {f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)}
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|[kMGTPE]|[KMGTPE]i)?")


def amount(quantity: str) -> Decimal:
    """The number that a quantity stands for.

    Raises:
        ValueError: it is not a quantity.
    """
    found = _QUANTITY.fullmatch(quantity)
    if not found:
        raise ValueError(f"{quantity!r} is not an amount such as 500m or 16Gi")
    return Decimal(found[1]) * _SUFFIXES[found[2] or ""]


def smaller(asked: str, most: str) -> str:
    """`asked`, or `most` where that is less; an empty `most` is not a limit."""
    return most if most and amount(most) < amount(asked) else asked

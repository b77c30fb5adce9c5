"""What a process imports and how long that takes, by package: what `cold` says of a start that misses its limit.

It reads what Python writes with PYTHONPROFILEIMPORTTIME; running the process is up to the caller.
"""

import re

VARIABLE = "PYTHONPROFILEIMPORTTIME"
LINE = re.compile(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\w+)", re.MULTILINE)
SHOWN = 8


def by_package(said: str) -> dict[str, float]:
    """Seconds that the modules of each package took themselves, without what they import; the slowest first.

    Args:
        said: the process's stderr, or both streams as one.
    """
    seconds: dict[str, float] = {}
    for microseconds, package in LINE.findall(said):
        seconds[package] = seconds.get(package, 0) + int(microseconds) / 1e6
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def explain(said: str) -> str:
    """A sentence: the seconds of all imports, and the slowest packages."""
    seconds = by_package(said)
    slowest = ", ".join(f"{package} {taken:.2f} s" for package, taken in list(seconds.items())[:SHOWN])
    return f"its imports take {sum(seconds.values()):.2f} s, of which {slowest}"

"""`python -m stages doctor DIR`: what kind of a volume this is, and whether stages can use it.

For whoever has claimed a volume and sees pods fail on it; the chart's tests call it, too. The trying out is in
`_volume`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from espnet3.errors import ConfigError
from stages import _volume


def doctor(arguments: Sequence[str]) -> None:
    """Show what there is to know about the folder that the one argument names.

    Raises:
        ConfigError: there is no such folder, or stages cannot use its volume; names every fault.
    """
    if len(arguments) != 1 or arguments[0].startswith("-"):
        raise ConfigError("doctor takes one argument: python -m stages doctor DIR, with a folder on the volume.")
    directory = Path(arguments[0])
    if not directory.is_dir():
        raise ConfigError(f"{directory.absolute()} is not a folder; give one that is on the volume.")
    sys.stdout.write(f"{directory.absolute()}\n")
    for name, value in _volume.describe(directory).items():
        _show(name, value)
    faults = _volume.find_faults(directory)
    if faults:
        raise ConfigError(
            "\n".join([f"stages cannot use {directory.absolute()}:", *(f"  it {each}" for each in faults)])
        )
    _show("write, flush, rename, read back", "works")
    rate = _volume.small_files_a_second(directory)
    _show("small files", f"{rate:.0f} a second{_remark(rate)}")


def _remark(rate: float) -> str:
    return ", which is slow: keep audio in few large files" if rate < _volume.SLOW else ""


def _show(name: str, value: str) -> None:
    sys.stdout.write(f"  {name:<32}{value}\n")
    sys.stdout.flush()

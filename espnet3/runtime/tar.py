"""Unpacking tar archives without harm, on every Python 3.11: those before 3.11.4 lack the filters of PEP 706.

`components.data.archive` and `python -m k8s results` call it. What an archive may hold besides is up to them.
"""

import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

Admit = Callable[[tarfile.TarInfo, str], tarfile.TarInfo]


class NotAdmitted(Exception):
    """A member that would reach out of the folder; says how."""


def extract(tar: tarfile.TarFile, folder: Path, members: Iterable[tarfile.TarInfo], admit: Admit) -> None:
    """Extract the members that `admit`, given a member and the folder, lets pass; what it raises ends the work."""
    if hasattr(tarfile, "data_filter"):
        tar.extractall(folder, members=members, filter=admit)  # noqa: S202 (`admit` judges every member)
        return
    for member in members:
        tar.extract(admit(member, str(folder)), folder, set_attrs=False)


def admitted(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """A member as `tarfile.data_filter` lets it pass.

    Raises:
        NotAdmitted: it would be written outside of the folder, or is a link to what is outside.
    """
    if not hasattr(tarfile, "data_filter"):
        _check(member, folder)
        return member
    try:
        return tarfile.data_filter(member, folder)
    except tarfile.FilterError as error:
        raise NotAdmitted(str(error)) from None


def _check(member: tarfile.TarInfo, folder: str) -> None:
    """The rules of PEP 706 for paths and links; modes and owners are not taken over at all."""
    root = os.path.realpath(folder)
    if Path(member.name).is_absolute():
        raise NotAdmitted(f"{member.name!r} has an absolute path")
    _hold_inside(member.name, root, member.name)
    if member.issym() or member.islnk():
        if Path(member.linkname).is_absolute():
            raise NotAdmitted(f"{member.name!r} is a link to an absolute path")
        start = str(Path(member.name).parent) if member.issym() else ""
        _hold_inside(str(Path(start, member.linkname)), root, member.name)


def _hold_inside(path: str, root: str, name: str) -> None:
    target = os.path.realpath(Path(root, path))
    if os.path.commonpath([target, root]) != root:
        raise NotAdmitted(f"{name!r} would be {target!r}, which is outside the destination")

"""Whether two runs left the same files: one comparer for all tests, with a rule for each kind of file.

Everything counts, to the last bit, but what a rule names: when something was done, how long it took, and where. A file
that has no rule of its own is compared byte by byte. What belongs to single attempts rather than to the result (logs,
TensorBoard's events) can be left out where one of the runs was disturbed (`products`).
"""

import io
import json
import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

PLACES = ("data", "exp")
_OF_ATTEMPTS = re.compile(r".*\.log|events\.out\.tfevents.*|timing\.json|\.lease(\.\w+)?")


def read_tree(folder: Path) -> dict[str, Any]:
    """What every file that a recipe's stages made means, by its path."""
    tree: dict[str, Any] = {}
    for path in sorted(path for place in PLACES for path in files(folder / place)):
        name, meaning = _read(path)
        key = str(path.parent.relative_to(folder) / name)
        tree[key] = tree[key] + meaning if key in tree else meaning
    return tree


def products(folder: Path) -> dict[str, Any]:
    """The same without what tells of the attempts that it took: logs, events, timings, a killed owner's name."""
    return {name: meaning for name, meaning in read_tree(folder).items() if not _OF_ATTEMPTS.fullmatch(Path(name).name)}


def differences(left: dict[str, Any], right: dict[str, Any]) -> list[str]:
    """One line for each file that only one of two trees has, or that means something else."""
    lines = [f"only on the left: {name}" for name in sorted(left.keys() - right.keys())]
    lines += [f"only on the right: {name}" for name in sorted(right.keys() - left.keys())]
    both = sorted(left.keys() & right.keys())
    return lines + [f"{name}: {_first(left[name], right[name])}" for name in both if left[name] != right[name]]


def files(folder: Path) -> Iterator[Path]:
    """Every file, also in folders that are links to another disk."""
    for place, _, names in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in sorted(names) if not place.endswith("__pycache__"))


def _read(path: Path) -> tuple[str, Any]:
    """The name that both runs give the file, and what it means."""
    for pattern, read in _RULES.items():
        if match := re.fullmatch(pattern, f"{path.parent.name}/{path.name}"):
            return match.groupdict().get("name") or path.name, read(path.read_bytes())
    return path.name, path.read_bytes()


def _record(content: bytes) -> Any:
    """A done record but for when the stage was finished, how long it took, its commit, and what a pack says of that."""
    record = json.loads(content)
    times = {"seconds": None, "finished": None, "made_by": sorted(record["made_by"])}
    assert record.keys() >= times.keys()
    contents = record["inputs"]["contents"]
    of_packs = [contents[role] for role in contents if "pack_dir}" in role]
    of_packs += [each for path, each in record["outputs"].items() if path.endswith("_pack")]
    for each in of_packs:
        each |= {"digest": None, "size": None}
    return record | times | ({"fingerprint": None} if of_packs else {})


def _timing(content: bytes) -> Any:
    """How much was decoded, with what; not how fast."""
    timing = json.loads(content)
    measured = ("decode_seconds", "latency_seconds", "real_time_factor")
    return timing | {name: sorted(timing[name]) if isinstance(timing[name], dict) else None for name in measured}


def _audio_index(content: bytes) -> list[Any]:
    """Which recordings there are, of which size and content; not when they, and their manifest, were written."""
    first, *lines = content.decode().splitlines()
    header = json.loads(first)
    assert {"manifest", "body_bytes", "body_sha256"} <= header.keys()
    manifest = header["manifest"] | {"mtime_ns": None}
    fields = [line.split("\t") for line in lines]
    assert all(len(each) == 5 and each[3].isdecimal() for each in fields)
    return [header | {"manifest": manifest, "body_sha256": None}, *([*each[:3], each[4]] for each in fields)]


def _about_pack(content: bytes) -> Any:
    """What a pack says of itself, without what was installed and checked out where it was made."""
    about = json.loads(content)
    return about | dict.fromkeys(("versions", "git_commit"))


def _card(content: bytes) -> str:
    return re.sub(r", commit `[^`]*`", "", content.decode())


def _sums(content: bytes) -> list[str]:
    """All but that of meta.json, which says where the pack was made."""
    return [line for line in content.decode().splitlines() if not line.endswith("  meta.json")]


def _report(content: bytes) -> str:
    text, sections = re.subn(r'<section aria-labelledby="speed">.*?</section>', "", content.decode(), flags=re.DOTALL)
    return f"{sections} {text}"


def _checkpoint(content: bytes) -> Any:
    """The tensors' bits; not the file's, because a pickle tells objects that are one from objects that are equal."""
    return _plain(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_plain(value) for value in node]
    if isinstance(node, torch.Tensor):
        bits = node.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return str(node.dtype), tuple(node.shape), bits
    return node.hex() if isinstance(node, float) else node


def _events(content: bytes) -> list[tuple[int, bytes]]:
    """Step and values of TensorBoard's events, without the times of day."""
    from tensorboard.compat.proto.event_pb2 import Event

    events = []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        values = b"".join(value.SerializeToString(deterministic=True) for value in event.summary.value)
        events.append((event.step, event.file_version.encode() + values))
        content = content[16 + length :]
    return events


def _log(content: bytes) -> list[str]:
    """The lines without times, speeds, the machine and the place; progress is reported by the clock."""
    lines = (_masked(line) for line in content.decode().splitlines())
    return [line for line in lines if not re.search(r": \d+(/\d+ \(\d+%\))?, \S+/s(, \d+ s left)?$", line)]


def _masked(line: str) -> str:
    for pattern, masked in _OF_THE_MOMENT.items():
        line = re.sub(pattern, masked, line)
    return line


def _first(left: Any, right: Any, key: str = "") -> str:
    """Where two values begin to differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        name = next(name for name in [*left, *right] if left.get(name, _first) != right.get(name, _first))
        return _first(left.get(name), right.get(name), f"{key}.{name}")
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        place = next(place for place, pair in enumerate(zip(left, right, strict=True)) if pair[0] != pair[1])
        return _first(left[place], right[place], f"{key}[{place}]")
    return f"{key} {str(left)[:200]} is not {str(right)[:200]}"


_OF_THE_MOMENT = {
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ": "",
    r"^(INFO espnet3.runtime.logs: \w+) on .*": r"\1",
    r"^(command|directory|git): .*": r"\1",
    r"\b(in|after) [\d.]+ s\b": r"\1 _ s",
    r"\b[\d.]+ times real time": "_ times real time",
}
_RULES: dict[str, Callable[[bytes], Any]] = {
    r"\.done/.+\.json": _record,
    r".*/timing\.json": _timing,
    r".*/\..+\.audio": _audio_index,
    r".*/report\.html": _report,
    r"model(_pack)?/meta\.json": _about_pack,
    r"model(_pack)?/README\.md": _card,
    r"model(_pack)?/SHA256SUMS": _sums,
    r".*/.*\.ckpt": _checkpoint,
    r".*/.*\.log": _log,
    r".*/(?P<name>events\.out\.tfevents)\..+": _events,
}
"""By `<folder>/<name>`; the first that fits counts. The group `name` stands for names that hold a time or a process."""

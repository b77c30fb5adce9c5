"""A small corpus with its audio index, as create_dataset leaves it, and what may happen to a recording afterwards."""

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from espnet3.components.data.audio import checksum
from espnet3.components.data.audio_index import AudioIndex, ManifestState
from espnet3.components.data.audio_index_writer import EntrySorter, write_index
from espnet3.components.data.validation import check_manifest
from tests.components.data.corpus import record, write_audio

NAMES = ("a.wav", "b.wav", "both.flac")
"""The last one is an archive: two utterances lie in it."""

ODD_NAMES = {
    "spaces": "a b/c  d .wav",
    "a tab": "a\tb.wav",
    "line ends": "a\nb\r\n.wav",
    "the end of a path": 'a"\t.wav',
    "a backslash": "a\\tb\\.wav",
    "not ASCII": "データ/é\u0301/\U0001f3a4.wav",
    "other line ends": "a\u2028b\x85c\x0bd.wav",
    "dots": "../elsewhere/./a.wav",
    "a long path": "/".join(["ディレクトリ"] * 40) + ".wav",
}


def make_corpus(folder: Path, names: Sequence[str] = NAMES) -> Path:
    """A manifest by hand: an utterance for each recording, and another one in the last."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [write_audio(folder / name, 1 + place / 10) for place, name in enumerate(names)]
    lines = [
        record(place, audio=name, checksum=checksum(path))
        for place, (name, path) in enumerate(zip(names, paths, strict=True))
    ]
    lines.append(lines[-1] | {"utt_id": "last", "start": 0.5, "duration": 0.5})
    manifest = folder / "m.jsonl"
    for path in paths:
        renew_inode(path)
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return manifest


def renew_inode(path: Path) -> None:
    """Have a file of the same content and times that this process, which hashed it, does not know."""
    copy = Path(shutil.copy2(path, path.with_name("new inode")))
    copy.rename(path)


def check(manifest: Path) -> Path:
    """Check a manifest and write its index, as create_dataset does."""
    state = ManifestState.of(manifest)
    with EntrySorter(manifest) as gathered:
        assert check_manifest(manifest, with_checksums=True, gathered=gathered).problems == []
        write_index(manifest, state, gathered.entries())
    for entry, _ in AudioIndex(manifest).entries():
        renew_inode(manifest.parent / entry.audio)
    return manifest


def replace_content(path: Path, *, keep_times: bool = False) -> None:
    """Another recording of the same size under the same name."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-100:] = bytes(byte ^ 1 for byte in content[-100:])
    path.unlink()  # it may be a link to that of another test
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (0 if keep_times else 3 * 10**9)))


def lengthen(path: Path) -> None:
    """Another recording, of a hundred bytes more."""
    path.write_bytes(path.read_bytes() + bytes(100))


def touch(path: Path) -> None:
    """Another time, the same content."""
    os.utime(path, (1, 1))


def copy_anew(folder: Path) -> None:
    """A copy that takes the place of the folder, with times of its own."""
    copy = shutil.copytree(folder, folder.with_name("copy"), copy_function=shutil.copyfile)
    shutil.rmtree(folder)
    copy.rename(folder)
    for number, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, (1000 + number, 1000 + number))


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "is damaged"),
    "not an index": (lambda _: b"\0" * 1000, "is damaged"),
    "a number": (lambda _: b"1\n", "is damaged"),
    "a header of other fields": (lambda _: b'{"version": 1, "manifest": {}}\n', "is damaged"),
    "a header of other types": (lambda content: content.replace(b'"files": 2', b'"files": ""'), "is damaged"),
    "a deep header": (lambda _: b"[" * 10_000, "is damaged"),
    "cut": (cut, "is cut short"),
    "without its last byte": (lambda content: content[:-1], "is cut short"),
    "longer": (lambda content: content + b"\n", "is cut short or damaged"),
    "of a newer version": (
        lambda content: content.replace(b'"version": 1', b'"version": 2'),
        "was written by another version",
    ),
}

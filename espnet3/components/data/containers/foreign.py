"""What is no sound that libsndfile reads, told by its first bytes, and what to do about it.

`espnet3.components.data.audio` asks when libsndfile has refused a file.
"""

import shlex

_COMMAND = "ffmpeg -i {name} {stem}.flac"
_FFMPEG = f"Convert it: {_COMMAND}"
_UNPACK = "It is an archive: unpack it, and name the sound files in it."
_SPH2PIPE = "Unpack it: sph2pipe -f wav {name} {stem}.wav"

_MARKS: tuple[tuple[int, bytes, str, str], ...] = (
    (4, b"ftyp", "MP4 or M4A (AAC or ALAC)", _FFMPEG),
    (0, b"\x1a\x45\xdf\xa3", "WebM or Matroska", _FFMPEG),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (WMA)", _FFMPEG),
    (0, b"#!AMR", "AMR", _FFMPEG),
    (0, b"ADIF", "AAC", _FFMPEG),
    (0, b"MAC ", "Monkey's Audio (APE)", _FFMPEG),
    (0, b"wvpk", "WavPack", _FFMPEG),
    (0, b"TTA1", "True Audio (TTA)", _FFMPEG),
    (0, b"MPCK", "Musepack", _FFMPEG),
    (0, b"MP+", "Musepack", _FFMPEG),
    (0, b"DSD ", "DSD", _FFMPEG),
    (0, b"FRM8", "DSD", _FFMPEG),
    (0, b".RMF", "RealMedia", _FFMPEG),
    (0, b"FLV\x01", "Flash video", _FFMPEG),
    (0, b"\x0b\x77", "AC-3", _FFMPEG),
    (0, b"\x7f\xfe\x80\x01", "DTS", _FFMPEG),
    (0, b"\x00\x00\x01\xba", "an MPEG video", _FFMPEG),
    (8, b"AVI ", "an AVI video", _FFMPEG),
    (0, b"ajkg", "shorten", _FFMPEG),
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "Fetch it: git lfs pull"),
    (0, b"PK\x03\x04", "a zip archive", _UNPACK),
    (0, b"\x1f\x8b", "a file compressed with gzip", "Unpack it: gunzip {name}"),
    (0, b"BZh", "a file compressed with bzip2", "Unpack it: bunzip2 {name}"),
    (0, b"\xfd7zXZ", "a file compressed with xz", "Unpack it: unxz {name}"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _UNPACK),
    (0, b"Rar!", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
)
_CODINGS = ((b"shorten", "a SPHERE file, packed with shorten"), (b"wavpack", "a SPHERE file, packed with WavPack"))
_PAGE = (b"<!doctype html", b"<html", b"<?xml")
HEAD = 1024
"""Bytes that are enough to tell."""


def explanation(head: bytes, name: str) -> str | None:
    """What a file is and what to do, as sentences that follow its name, or None where that is not known.

    Args:
        head: its first bytes.
        name: of the file, without a folder.
    """
    stem = name.rpartition(".")[0] or name
    found = _kind(head)
    if found is None:
        return None
    kind, cure = found
    return f"is not readable audio: it is {kind}. {cure.format(name=shlex.quote(name), stem=shlex.quote(stem))}."


def conversion(name: str) -> str:
    """The command that makes a FLAC file of a sound file of another kind."""
    return _COMMAND.format(name=shlex.quote(name), stem=shlex.quote(name.rpartition(".")[0] or name))


def _kind(head: bytes) -> tuple[str, str] | None:
    if head[:7] == b"NIST_1A":
        return next(((kind, _SPH2PIPE) for coding, kind in _CODINGS if coding in head), None)
    for place, mark, kind, cure in _MARKS:
        if head[place : place + len(mark)] == mark:
            return kind, cure
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xF6 == 0xF0:
        return "AAC", _FFMPEG
    if head.lstrip().lower().startswith(_PAGE):
        return "a web page, not sound", "Download it again, and look at what the server says"
    return None

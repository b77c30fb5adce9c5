import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from espnet3.components.data.archive import Limits, extract
from espnet3.errors import DataError

FILES = {"corpus/a.txt": b"A" * 5000, "corpus/sub/音声.txt": b"B", "./corpus/c.txt": b""}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
}


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(content)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return raw.getvalue()


def zipped(*members: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return raw.getvalue()


def zip_link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work" / "archive"


EXPECTED = {name.removeprefix("./"): content for name, content in FILES.items()}


@pytest.mark.parametrize("kind", COMPRESS)
def test_extracts_tar(archive: Path, kind: str) -> None:
    archive.write_bytes(COMPRESS[kind](tar(*(member(name, content) for name, content in FILES.items()))))
    extract(archive, archive.parent / "out")
    assert contents(archive.parent / "out") == EXPECTED


def test_extracts_zip(archive: Path) -> None:
    archive.write_bytes(zipped(("corpus/", b""), *FILES.items()))
    extract(archive, archive.parent / "out")
    assert contents(archive.parent / "out") == EXPECTED


def test_takes_the_place_of_what_was_there(archive: Path) -> None:
    (archive.parent / "out").mkdir()
    (archive.parent / "out" / "old").touch()
    archive.write_bytes(tar(member("new", b"N")))
    extract(archive, archive.parent / "out")
    assert contents(archive.parent / "out") == {"new": b"N"}


def test_links_that_stay_inside_are_kept(archive: Path) -> None:
    archive.write_bytes(
        tar(
            member("d/a", b"A"),
            member("d/soft", kind=tarfile.SYMTYPE, target="../d/a"),
            member("hard", kind=tarfile.LNKTYPE, target="d/a"),
        )
    )
    extract(archive, archive.parent / "out")
    assert contents(archive.parent / "out") == {"d/a": b"A", "d/soft": b"A", "hard": b"A"}


SYM, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
HOSTILE = {
    "parent": tar(member("../evil", b"E")),
    "parent inside": tar(member("a/../../evil", b"E")),
    "absolute": tar(member("/tmp/espnet3-evil", b"E")),
    "link to parent": tar(member("l", kind=SYM, target="..")),
    "link to absolute": tar(member("l", kind=SYM, target="/etc/passwd")),
    "link to link": tar(member("d", kind=SYM, target="."), member("e", kind=SYM, target="d/../..")),
    "link behind link": tar(
        member("a/b/c", b""), member("d", kind=SYM, target="a/b"), member("x", kind=SYM, target="d/../../../evil")
    ),
    "through a link": tar(member("l", kind=SYM, target="."), member("l/evil", b"E")),
    "over a link": tar(member("l", kind=SYM, target="x"), member("l", b"E")),
    "hard link out": tar(member("h", kind=HARD, target="../secret")),
    "hard link to link": tar(member("l", kind=SYM, target="x"), member("h", kind=HARD, target="l")),
    "pipe": tar(member("p", kind=tarfile.FIFOTYPE)),
    "character device": tar(member("c", kind=tarfile.CHRTYPE)),
    "block device": tar(member("b", kind=tarfile.BLKTYPE)),
    "zip parent": zipped(("../evil", b"E")),
    "zip absolute": zipped(("/tmp/espnet3-evil", b"E")),
    "zip backslash": zipped(("..\\evil", b"E")),
    "zip link": zipped((zip_link("l"), b"/etc/passwd")),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_archive_writes_nothing(archive: Path, content: bytes) -> None:
    archive.write_bytes(content)
    (archive.parent / "secret").write_text("S")
    (archive.parent / "out").mkdir()
    before = contents(archive.parent.parent)
    with pytest.raises(DataError, match=r"archive holds '.*', which is refused: "):
        extract(archive, archive.parent / "out")
    assert contents(archive.parent.parent) == before
    assert not Path("/tmp/espnet3-evil").exists()
    assert sorted(path.name for path in archive.parent.iterdir()) == ["archive", "out", "secret"]


BIG = tar(member("a", b"A" * 50_000), member("b", b"B" * 50_000))
DAMAGED = {
    "empty": b"",
    "text": b"<html>Not found</html>" * 100,
    "tar at a member": BIG[:50_688],
    "tar in a member": BIG[:70_000],
    "tar in a header": BIG[:50_900],
    "gz": gzip.compress(BIG)[:-100],
    "gz early": gzip.compress(BIG)[:30],
    "bz2": bz2.compress(BIG)[:-20],
    "xz": lzma.compress(BIG)[:100],
    "bad header": BIG[:50_690] + b"XXXX" + BIG[50_694:],
    "gz without its checksum": gzip.compress(BIG)[:-8],
    "gz flipped": gzip.compress(BIG, 0)[:30_000] + b"?" + gzip.compress(BIG, 0)[30_001:],
    "bz2 flipped": bz2.compress(BIG)[:60] + b"?" + bz2.compress(BIG)[61:],
    "zip": zipped(("a", b"A" * 5000))[:-30],
    "zip flipped": zipped(("a", b"A" * 5000)).replace(b"\xed", b"\xee", 1),
    "in its own way": tar(member("a", b"A"), member("a/b", b"B")),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_leaves_what_was_there(archive: Path, content: bytes) -> None:
    archive.write_bytes(content)
    (archive.parent / "out").mkdir()
    (archive.parent / "out" / "old").write_text("O")
    with pytest.raises(DataError, match="archive is damaged, cut short or no tar or zip archive"):
        extract(archive, archive.parent / "out")
    assert contents(archive.parent / "out") == {"old": b"O"}
    assert sorted(path.name for path in archive.parent.iterdir()) == ["archive", "out"]


@pytest.mark.parametrize("kind", COMPRESS)
def test_an_archive_cut_anywhere_is_refused_or_whole(archive: Path, kind: str) -> None:
    """Behind the block of zeros that ends it, an uncompressed tar has nothing to lose."""
    plain = tar(*(member(f"d/{name}", name.encode() * 700) for name in "abc"))
    whole = COMPRESS[kind](plain)
    end = plain.rstrip(b"\0").rfind(b"c") // 512 * 512 + 1024 if kind == "tar" else len(whole)
    for cut in range(0, len(whole), 1 if kind != "tar" else 128):
        archive.write_bytes(whole[:cut])
        if cut >= end:
            extract(archive, archive.parent / "out")
            continue
        with pytest.raises(DataError, match="archive is damaged, cut short or no tar or zip archive"):
            extract(archive, archive.parent / "out")


@pytest.mark.parametrize("limits", [Limits(size=60_000), Limits(members=1)], ids=["size", "members"])
@pytest.mark.parametrize("content", [BIG, zipped(("a", bytes(50_000)), ("b", bytes(50_000)))], ids=["tar", "zip"])
def test_an_archive_that_is_too_big_is_refused(archive: Path, content: bytes, limits: Limits) -> None:
    archive.write_bytes(content)
    with pytest.raises(DataError, match="holds more than"):
        extract(archive, archive.parent / "out", limits)
    assert not (archive.parent / "out").exists()


def test_a_missing_archive_is_named(archive: Path) -> None:
    with pytest.raises(DataError, match="There is no archive"):
        extract(archive, archive.parent / "out")

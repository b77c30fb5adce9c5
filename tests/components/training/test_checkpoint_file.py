"""Only a checkpoint that was read to its end and is damaged is renamed; a fault that passes costs nothing."""

import errno
import io
import os
import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from espnet3.components.training import checkpoint_file
from espnet3.components.training.checkpoint_file import load_valid, write_checkpoint
from espnet3.errors import TryAgain
from tests.components.training.on_ranks import on_ranks

Damage = Callable[[bytes], bytes]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, {"model": {"weight": torch.arange(60_000.0)}, "state": {"step": 7}})
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def read(path: Path) -> int:
    payload = load_valid(path)
    assert payload is not None
    step = payload["state"]["step"]
    assert isinstance(step, int)
    return step


class FailingFile(io.FileIO):
    """Fails at some of its reads, counted from 1."""

    def __init__(self, path: Path, failing: range, error: OSError) -> None:
        super().__init__(path)
        self.failing, self.error = failing, error
        self.reads = 0

    def read(self, size: int | None = -1, /) -> Any:
        self._count()
        return super().read(size)

    def readinto(self, buffer: Any, /) -> int:
        self._count()
        return super().readinto(buffer) or 0

    def _count(self) -> None:
        self.reads += 1
        if self.reads in self.failing:
            raise self.error


@pytest.mark.parametrize("code", ["EIO", "ESTALE", "EACCES", "ETIMEDOUT", "EREMOTEIO", "ENOMEM", "EMFILE"])
def test_a_fault_of_the_volume_leaves_the_file_alone(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """At the n-th read alone, after which all may be well, and at each from then on."""
    reason = os.strerror(getattr(errno, code))
    error = OSError(getattr(errno, code), reason)
    reads = count_reads(checkpoint, monkeypatch)
    for number in range(1, reads + 1):
        with failing(monkeypatch, range(number, number + 1), error), suppress(TryAgain):
            assert read(checkpoint) == 7
        said = rf"last\.ckpt could not be read .*{reason}.* again"
        with failing(monkeypatch, range(number, 10**9), error), pytest.raises(TryAgain, match=said):
            load_valid(checkpoint)
        assert names(checkpoint.parent) == ["last.ckpt"]
    assert read(checkpoint) == 7


def test_a_file_that_cannot_be_opened_is_left_alone(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "open", raise_it(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(TryAgain, match="Permission denied"):
        load_valid(checkpoint)
    assert names(checkpoint.parent) == ["last.ckpt"]


@contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, reads: range, error: OSError) -> Iterator[list[FailingFile]]:
    opened: list[FailingFile] = []

    def open_file(path: Path, *_: Any) -> FailingFile:
        opened.append(FailingFile(path, reads, error))
        return opened[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_file)
        yield opened


def count_reads(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    with failing(monkeypatch, range(0), OSError()) as opened:
        read(path)
    return opened[0].reads


def raise_it(error: Exception) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def test_what_the_kernel_does_not_give_is_no_damage(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").symlink_to("/proc/self/mem")
    with pytest.raises(TryAgain, match="Input/output error"):
        load_valid(tmp_path / "last.ckpt")
    assert names(tmp_path) == ["last.ckpt"]


def test_a_damaged_file_that_cannot_be_read_to_its_end_stays(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch takes for damage may be the volume's doing as well."""
    checkpoint.write_bytes(b"not a checkpoint")

    class FailsLater(io.FileIO):
        def read(self, size: int | None = -1, /) -> Any:
            if size == checkpoint_file._BLOCK:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    monkeypatch.setattr(Path, "open", lambda path, *_: FailsLater(path))
    with pytest.raises(TryAgain, match="Input/output error"):
        load_valid(checkpoint)
    assert names(checkpoint.parent) == ["last.ckpt"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: 9"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("can't start new thread"),
    ],
    ids=["python", "torch", "gpu", "c++", "threads"],
)
def test_too_little_memory_leaves_the_file_alone(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", raise_it(error))
        with pytest.raises(TryAgain, match=r"last\.ckpt could not be read .* memory"):
            load_valid(checkpoint)
        checkpoint.write_bytes(checkpoint.read_bytes()[:-200])  # nothing can be said for one whose checksums are wrong
        assert load_valid(checkpoint) is None
    assert names(checkpoint.parent) == ["last.ckpt.damaged"]


def test_memory_that_is_really_short_leaves_the_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    write_checkpoint(path, {"model": torch.zeros(100_000_000)})

    def short_of_memory(_: Any) -> str:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + 200_000_000
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        try:
            return str(load_valid(path))
        except TryAgain as error:
            return str(error)

    (said,) = on_ranks(1, short_of_memory)
    assert "allocate memory" in said
    assert names(tmp_path) == ["last.ckpt"]


DAMAGES: dict[str, Damage] = {
    "empty": lambda content: b"",
    "the first byte": lambda content: content[:1],
    "cut in half": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "cut to a tenth": lambda content: content[: len(content) // 10],
    "a bit of the weights": lambda content: content[:99_999] + bytes([content[99_999] ^ 4]) + content[100_000:],
    "zeros in the middle": lambda content: content[:100_000] + bytes(800) + content[100_800:],
    "zeros at the end": lambda content: content[:-500] + bytes(500),
    "zeros all over": lambda content: bytes(len(content)),
    "no checkpoint": lambda content: b"not a checkpoint",
    "a random pickle": lambda content: b"\x80\x02" + random.Random(3).randbytes(50),
    "the end of an archive": lambda content: content[-300:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_was_read_to_its_end_and_does_not_parse_is_set_aside(
    checkpoint: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    checkpoint.write_bytes(DAMAGES[damage](checkpoint.read_bytes()))
    content = checkpoint.read_bytes()
    assert load_valid(checkpoint) is None
    assert (checkpoint.parent / "last.ckpt.damaged").read_bytes() == content
    assert names(checkpoint.parent) == ["last.ckpt.damaged"]
    assert "last.ckpt cannot be read" in caplog.text


@pytest.mark.parametrize("payload", [{"version": 2}, {"model": {}}, [1], torch.zeros(2)], ids=repr)
def test_what_is_no_checkpoint_of_this_version_is_set_aside(tmp_path: Path, payload: Any) -> None:
    torch.save(payload, tmp_path / "last.ckpt")
    assert load_valid(tmp_path / "last.ckpt") is None
    assert names(tmp_path) == ["last.ckpt.damaged"]


def test_no_file_is_no_damage(tmp_path: Path) -> None:
    assert load_valid(tmp_path / "last.ckpt") is None
    assert names(tmp_path) == []

"""What the tests' Hub holds: repositories, branches, commits and files. It knows nothing of HTTP."""

import base64
import hashlib
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

LARGE = ("*.safetensors", "*.onnx", "*.model", "*.flac", "*.wav")
"""Names that the Hub keeps beside git, in LFS."""


@dataclass(frozen=True)
class File:
    """A file of a commit."""

    content: bytes
    large: bool

    @property
    def sha256(self) -> str:
        """Name of the content in LFS."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def oid(self) -> str:
        """Name of what git holds: the content, or a pointer to it."""
        content = self.content
        if self.large:
            content = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Commit:
    """A state of a branch."""

    oid: str
    message: str
    files: dict[str, File]


@dataclass
class Repo:
    """A model's or a Space's repository."""

    kind: str
    """`model` or `space`."""
    name: str
    private: bool
    sdk: str | None = None
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.branches.setdefault("main", [Commit(_oid(self.name), "initial commit", {})])

    def head(self, revision: str = "main") -> Commit | None:
        """The newest commit of a branch, or the commit of that name."""
        if revision in self.branches:
            return self.branches[revision][-1]
        commits = [commit for branch in self.branches.values() for commit in branch]
        return next((commit for commit in commits if commit.oid == revision), None)

    def commit(self, branch: str, message: str, files: dict[str, File]) -> Commit:
        """Add a commit with these files."""
        history = self.branches[branch]
        made = Commit(_oid(self.name, branch, str(len(history)), message), message, files)
        history.append(made)
        return made


@dataclass
class Store:
    """All repositories and the contents of LFS."""

    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    xet: dict[str, str] = field(default_factory=dict)
    """Names in Xet's storage by those in LFS."""

    def apply(self, repo: Repo, branch: str, lines: list[dict[str, Any]]) -> Commit:
        """Make the commit that the lines of a commit request describe."""
        files = dict((repo.head(branch) or repo.branches["main"][0]).files)
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = File(_decoded(value), large=False)
            elif line["key"] == "lfsFile":
                files[value["path"]] = File(self.large[value["oid"]], large=True)
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        return repo.commit(branch, lines[0]["value"]["summary"], files)


def is_large(path: str) -> bool:
    """Whether the Hub wants a file of this name in LFS."""
    return any(fnmatch(path, pattern) for pattern in LARGE)


def _decoded(value: dict[str, Any]) -> bytes:
    return base64.b64decode(value["content"])


def _oid(*parts: str) -> str:
    return hashlib.sha1("\0".join(parts).encode()).hexdigest()

"""The Hub's protocol as huggingface_hub speaks it: which request gives which answer. For sockets, see `server`."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from tests.hub.store import File, Repo, Store, is_large

REPO = r"/api/(?P<kind>model|space)s/(?P<id>[^/]+/[^/]+)"


@dataclass(frozen=True)
class Request:
    """What a client asked."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    base: str
    """The Hub's own address."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return urlsplit(self.target).path

    @property
    def token(self) -> str:
        """The client's token; empty without one."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What the Hub says."""

    body: Any = field(default_factory=dict)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def refusal(status: int, message: str, code: str | None = None) -> Answer:
    """An error as the Hub words it."""
    headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
    return Answer({"error": message}, status, headers)


NO_REPO = refusal(404, "Repository not found", "RepoNotFound")


@dataclass
class Hub:
    """The Hub's state and its answers."""

    store: Store = field(default_factory=Store)
    tokens: dict[str, str] = field(default_factory=lambda: {"hf_writer": "write", "hf_reader": "read"})
    """Token to role."""
    xet: str = ""
    """Address of Xet's storage, where there is one: `local://` and a folder, which hf_xet itself then writes."""

    def answer(self, request: Request) -> Answer:
        """The answer to a request."""
        if request.token and request.token not in self.tokens:
            return refusal(401, "Invalid credentials in Authorization header")
        for method, pattern, route in ROUTES:
            found = re.fullmatch(pattern, request.path)
            if found and request.method in method:
                return route(self, request, {key: unquote(value or "") for key, value in found.groupdict().items()})
        return refusal(404, f"the tests' Hub has no {request.method} {request.path}")

    def repo(self, request: Request, found: dict[str, str]) -> Repo | None:
        """The repository that a request names, where the client may see it."""
        repo = self.store.repos.get((found["kind"] or "model", found["id"]))
        return repo if repo and (request.token or not repo.private) else None

    def may_write(self, request: Request) -> bool:
        """Whether the client's token is one that writes."""
        return self.tokens.get(request.token) == "write"


Found = dict[str, str]
Route = Callable[[Hub, Request, Found], Answer]


def whoami(hub: Hub, request: Request, found: Found) -> Answer:
    """Who the token belongs to."""
    role = hub.tokens.get(request.token)
    if role is None:
        return refusal(401, "Invalid username or password.")
    return Answer({"type": "user", "name": "me", "orgs": [], "auth": {"accessToken": {"role": role}}})


def create(hub: Hub, request: Request, found: Found) -> Answer:
    """Make a repository."""
    if not hub.may_write(request):
        return refusal(403, "You don't have the rights to create a model under this namespace")
    asked = request.json()
    name, kind = f"{asked.get('organization') or 'me'}/{asked['name']}", asked.get("type") or "model"
    url = f"{request.base}/{'spaces/' if kind == 'space' else ''}{name}"
    if (kind, name) in hub.store.repos:
        return Answer({"error": "You already created this repo", "url": url}, 409)
    private = asked.get("visibility") == "private" or bool(asked.get("private"))
    hub.store.repos[kind, name] = Repo(kind, name, private, asked.get("sdk"))
    return Answer({"url": url})


def validate_yaml(hub: Hub, request: Request, found: Found) -> Answer:
    """Say that a card's metadata is well."""
    return Answer({"errors": [], "warnings": []})


def info(hub: Hub, request: Request, found: Found) -> Answer:
    """Describe a repository."""
    repo = hub.repo(request, found)
    if repo is None:
        return NO_REPO
    head = repo.head(found["revision"] or "main")
    if head is None:
        return refusal(404, "Invalid rev id", "RevisionNotFound")
    siblings = [{"rfilename": path} for path in head.files]
    answer = {"id": repo.name, "modelId": repo.name, "sha": head.oid, "private": repo.private, "siblings": siblings}
    return Answer({**answer, "downloads": 0, "likes": 0, "tags": []})


def tree(hub: Hub, request: Request, found: Found) -> Answer:
    """List the files of a commit."""
    repo = hub.repo(request, found)
    head = repo.head(found["revision"]) if repo else None
    if repo is None or head is None:
        return NO_REPO if repo is None else refusal(404, "Invalid rev id", "RevisionNotFound")
    return Answer([_entry(hub, path, file) for path, file in sorted(head.files.items())])


def _entry(hub: Hub, path: str, file: File) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(file.content), "oid": file.oid}
    large = {"oid": file.sha256, "size": len(file.content), "pointerSize": 134}
    if not file.large:
        return entry
    in_xet = {"xetHash": hub.store.xet[file.sha256]} if file.sha256 in hub.store.xet else {}
    return {**entry, "lfs": large, **in_xet}


def branch(hub: Hub, request: Request, found: Found) -> Answer:
    """Make a branch of the main one."""
    repo = hub.repo(request, found)
    if repo is None or not hub.may_write(request):
        return NO_REPO
    if found["revision"] in repo.branches:
        return refusal(409, "Reference already exists")
    repo.branches[found["revision"]] = list(repo.branches["main"])
    return Answer({})


def preupload(hub: Hub, request: Request, found: Found) -> Answer:
    """Say which files go through LFS."""
    if hub.repo(request, found) is None:
        return NO_REPO
    if not hub.may_write(request):
        return refusal(403, "you have no write access to this repository")
    paths = [file["path"] for file in request.json()["files"]]
    modes = [{"path": path, "uploadMode": "lfs" if is_large(path) else "regular"} for path in paths]
    return Answer({"files": [{**mode, "shouldIgnore": False} for mode in modes]})


def large_batch(hub: Hub, request: Request, found: Found) -> Answer:
    """Say where the contents go that LFS does not have yet."""
    objects = []
    for asked in request.json()["objects"]:
        target = {"href": f"{request.base}/_large/{asked['oid']}", "header": {}}
        missing = asked["oid"] not in hub.store.large
        objects.append({**asked, **({"actions": {"upload": target}} if missing else {})})
    return Answer({"transfer": "basic", "objects": objects})


def put_large(hub: Hub, request: Request, found: Found) -> Answer:
    """Take a content into LFS."""
    hub.store.large[found["oid"]] = request.body
    return Answer()


def commit(hub: Hub, request: Request, found: Found) -> Answer:
    """Change a branch."""
    repo = hub.repo(request, found)
    if repo is None:
        return NO_REPO
    if not hub.may_write(request):
        return refusal(403, "you have no write access to this repository")
    lines = [json.loads(line) for line in request.body.splitlines()]
    head = repo.head(found["revision"])
    if head is None:
        return refusal(404, "Invalid rev id", "RevisionNotFound")
    if lines[0]["value"].get("parentCommit") not in (None, head.oid):
        return refusal(412, "A commit has happened since. Please refresh and try again.")
    made = hub.store.apply(repo, found["revision"], lines)
    return Answer(
        {"success": True, "commitUrl": f"{request.base}/{repo.name}/commit/{made.oid}", "commitOid": made.oid}
    )


def resolve(hub: Hub, request: Request, found: Found) -> Answer:
    """A file's content, or the part of it that is asked for."""
    repo = hub.repo(request, found)
    head = repo.head(found["revision"]) if repo else None
    if repo is None or head is None:
        return NO_REPO if repo is None else refusal(404, "Invalid rev id", "RevisionNotFound")
    file = head.files.get(found["path"])
    if file is None:
        missing = refusal(404, "Entry not found", "EntryNotFound")
        return Answer(missing.body, 404, {**missing.headers, "X-Repo-Commit": head.oid})
    headers = {
        "X-Repo-Commit": head.oid,
        "ETag": f'"{file.sha256 if file.large else file.oid}"',
        "Accept-Ranges": "bytes",
    }
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if asked is None:
        return Answer(file.content, 200, headers)
    first, last = int(asked[1]), int(asked[2] or len(file.content) - 1)
    return Answer(
        file.content[first : last + 1], 206, {**headers, "Content-Range": f"bytes {first}-{last}/{len(file.content)}"}
    )


def xet_token(hub: Hub, request: Request, found: Found) -> Answer:
    """Where Xet's storage is."""
    if not hub.xet:
        return refusal(404, "this Hub has no Xet")
    names = {"casUrl": hub.xet, "accessToken": "xet", "exp": 4_000_000_000}
    headers = {"X-Xet-Cas-Url": hub.xet, "X-Xet-Access-Token": "xet", "X-Xet-Token-Expiration": "4000000000"}
    return Answer(names, 200, headers)


ROUTES: list[tuple[tuple[str, ...], str, Route]] = [
    (("GET",), r"/api/whoami-v2", whoami),
    (("POST",), r"/api/repos/create", create),
    (("POST",), r"/api/validate-yaml", validate_yaml),
    (("POST",), rf"{REPO}/branch/(?P<revision>[^/]+)", branch),
    (("POST",), rf"{REPO}/preupload/(?P<revision>[^/]+)", preupload),
    (("POST",), rf"{REPO}/commit/(?P<revision>[^/]+)", commit),
    (("GET",), rf"{REPO}/tree/(?P<revision>[^/]+)", tree),
    (("GET",), rf"{REPO}/xet-(?:read|write)-token/(?P<revision>[^/]+)", xet_token),
    (("GET",), rf"{REPO}(?:/revision/(?P<revision>[^/]+))?", info),
    (("POST",), r"/(?:(?P<kind>space)s/)?(?P<id>[^/]+/[^/]+)\.git/info/lfs/objects/batch", large_batch),
    (("PUT",), r"/_large/(?P<oid>[0-9a-f]{64})", put_large),
    (
        ("GET", "HEAD"),
        r"/(?:(?P<kind>space)s/)?(?P<id>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        resolve,
    ),
]

"""What the pod of `python -m k8s results` runs: it prints the files of a run as one archive, part by part, to its log.

`results` hands this file to `python -c` in the run's own image, so nothing but Python's library is imported, and reads
the pod's log. The log of a pod is cut when it grows, hence the parts; each begins with the hash of the whole.
"""

import base64
import fnmatch
import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
from collections.abc import Iterator, Sequence

PATTERNS = ("*.log", "metrics*.json", "report.html", "utterances.tsv", "speakers.tsv", "errors.txt", "outcome.json")
PART_BYTES = 4 * 1024 * 1024
"""Of the archive, in one log; kubelets keep 10 MiB of text unless configured otherwise."""
LINE_BYTES = 6 * 1024


def main(directory: str, part: str, folders: Sequence[str]) -> None:
    """Print a part, from 0, of the archive of what `folders` below `directory` hold: a line of JSON, then base64."""
    os.chdir(directory)
    archive = pack(sorted(set(files_below(folders))))
    start = int(part) * PART_BYTES
    text = base64.b64encode(archive[start : start + PART_BYTES]).decode()
    head = {"parts": -(-len(archive) // PART_BYTES), "sha256": hashlib.sha256(archive).hexdigest()}
    lines = [json.dumps(head), *(text[at : at + LINE_BYTES] for at in range(0, len(text), LINE_BYTES)), "."]
    sys.stdout.write("\n".join(lines) + "\n")


def files_below(folders: Sequence[str]) -> Iterator[str]:
    """The files that a user wants to see."""
    for folder in folders:
        for place, _, names in os.walk(folder):
            paths = [os.path.join(place, name) for name in names if any(fnmatch.fnmatch(name, p) for p in PATTERNS)]  # noqa: PTH118
            yield from (path for path in paths if os.path.isfile(path) and not os.path.islink(path))  # noqa: PTH113, PTH114


def pack(paths: Sequence[str]) -> bytes:
    """The same bytes for the same files; what is gone meanwhile is left out."""
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in paths:
            add(archive, path)
    return buffer.getvalue()


def add(archive: tarfile.TarFile, path: str) -> None:
    """With the length that it has now: a log may grow while it is read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read()
            changed = os.fstat(file.fileno()).st_mtime
    except FileNotFoundError:
        return
    entry = tarfile.TarInfo(os.path.normpath(path).lstrip("/"))
    entry.size, entry.mtime = len(content), int(changed)
    archive.addfile(entry, io.BytesIO(content))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])

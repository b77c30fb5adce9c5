"""What differs between the inputs of two runs of a stage, or between what it wrote and what is there, in lines.

`done` gives them as reasons, `training` and others put them into messages. Each line says from what to what.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from espnet3.pipeline.contents import Content
from espnet3.pipeline.fingerprint import FingerprintInputs, short_key
from espnet3.pipeline.settings import FileInput

_ABSENT: Any = object()


def differences(old: FingerprintInputs, new: FingerprintInputs) -> list[str]:
    """One line for each entry that differs, such as `optimizer.lr: 0.002 → 0.001`."""
    lines = (*_settings(old, new), *_contents(old.contents, new.contents), *_code(old.code, new.code))
    return list(dict.fromkeys(lines))  # a file that two settings name changes once


def content_change(old: Content | FileInput, new: Content | FileInput) -> str:
    """From what to what a file changed: by its size where that differs, else by its digest."""
    if old.size != new.size:
        return f"{old.size:,} → {new.size:,} bytes"
    return f"sha256 {old.digest[:8]}… → {new.digest[:8]}…"


def _settings(old: FingerprintInputs, new: FingerprintInputs) -> Iterator[str]:
    for key in sorted({*old.settings, *new.settings}):
        before, after = old.settings.get(key, _ABSENT), new.settings.get(key, _ABSENT)
        if before == after or (before is _ABSENT and key in old.contents) or (after is _ABSENT and key in new.contents):
            continue  # one that named a file, or does now, is told among the contents
        yield f"{short_key(key)}: {_shown(before)} → {_shown(after)}"


def _contents(old: Mapping[str, FileInput], new: Mapping[str, FileInput]) -> Iterator[str]:
    for role in sorted({*old, *new}):
        before, after = old.get(role), new.get(role)
        if before is None and after is not None:
            yield f"{after.path} is new"
        elif after is None and before is not None:
            yield f"{before.path} is gone"
        elif before is not None and after is not None and before.digest != after.digest:
            name = after.path if before.path == after.path else f"{before.path} → {after.path}"
            yield f"{name} changed ({content_change(before, after)})"


def _code(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    changed = [name for name in sorted(old) if name in new and old[name] != new[name]]
    others = [name for name in sorted({*old, *new}) if (name in old) != (name in new)]
    yield from (f"{name} changed" for name in changed)
    # What a changed definition uses for the first time, or no more, says nothing that the change itself does not.
    yield from (f"{name} is {'gone' if name in old else 'new'}" for name in others if not changed)


def _shown(value: Any) -> str:
    return "(not set)" if value is _ABSENT else json.dumps(value, ensure_ascii=False, default=str)

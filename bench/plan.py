"""How long a plan takes when nothing changed: of a recipe with a million utterances in 540 archives.

The recipe is digits' with another corpus, whose stages are put down as done; its plan is then made by a process of its
own, as a user would. `make bench` runs it; the plan of the digits recipe itself is among the figures of `stages`.
"""

import contextlib
import os
import shutil
from pathlib import Path

from bench.figure import Figure
from bench.growth import LINES
from bench.process import run_python
from espnet3.components.data.audio_index import Entry, ManifestState
from espnet3.components.data.audio_index_writer import EntrySorter, write_index
from espnet3.pipeline.done import recording
from espnet3.pipeline.paths import expand, fixed_part
from espnet3.pipeline.plan import decide
from espnet3.pipeline.spec import slots_of, spec_of
from espnet3.recipe.prepare import Run, prepare
from espnet3.recipe.recipe import load_recipe

ARCHIVES = 540
STAGES = ("create_dataset", "collect_stats")
CHECKSUM = "sha256:" + 64 * "0"
LINE = (
    '{{"utt_id": "u{number:07d}", "audio": "audio/{archive:03d}.tar", "start": {start:.2f}, "duration": 5.0, '
    '"sample_rate": 16000, "text": "utterance {number}", "speaker": "s{archive:03d}", "checksum": "{checksum}"}}\n'
)


def measure(recipe: Path, folder: Path) -> list[Figure]:
    """Seconds of `run.py --dry_run`, the start of Python included.

    Args:
        recipe: the digits recipe.
        folder: where the other one may be made.
    """
    copy = folder / "large/asr"
    shutil.copytree(recipe, copy, ignore=shutil.ignore_patterns("data", "exp", ".digests"))
    (copy / "data/audio").mkdir(parents=True)
    for split, lines in (("train", LINES), ("valid", 1000), ("test", 1000)):
        write(copy / f"data/{split}.jsonl", lines)
    put_down(copy)
    cost = run_python([str(copy / "run.py"), "--dry_run", "--stages", *STAGES])
    return [
        Figure("plan of a million utterances in 540 archives", cost.seconds, "s", 3, "less"),
        Figure("plan of a million utterances: peak memory", cost.megabytes, "MB"),
    ]


def write(manifest: Path, lines: int) -> None:
    """A manifest whose utterances lie in the archives, and its audio index."""
    with manifest.open("w", encoding="utf-8") as file:
        for number in range(lines):
            archive = number % ARCHIVES
            file.write(LINE.format(number=number, archive=archive, start=number // ARCHIVES * 5.0, checksum=CHECKSUM))
    with EntrySorter(manifest) as gathered:
        for number in range(lines):
            path = manifest.parent / f"audio/{number % ARCHIVES:03d}.tar"
            if not path.exists():
                path.touch()
                os.truncate(path, 2**30)  # holds nothing, and takes no room
            status = path.stat()
            name = f"audio/{path.name}"
            gathered.add(Entry(name, status.st_size, status.st_mtime_ns, CHECKSUM).line())
        write_index(manifest, ManifestState.of(manifest), gathered.entries())


def put_down(folder: Path) -> None:
    """Records that say of each stage that it is done."""
    recipe = load_recipe(folder)
    with contextlib.chdir(folder), recipe.activated():
        run: Run = prepare(recipe, STAGES, {})
        for stage in STAGES:
            decision = decide(run.system, run.code, stage)
            with recording(run.system, stage, decision.run, is_whole=True):
                templates = [each for each in spec_of(run.system, stage).outputs if fixed_part(each) == each]
                for path in expand(templates, slots_of(run.system)):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.touch()
        decisions = [decide(run.system, run.code, stage) for stage in STAGES]
        assert all(decision.done for decision in decisions), decisions

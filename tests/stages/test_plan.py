"""plan, report and doctor, as the first and last steps of a workflow, and whoever has a volume, run them."""

import json
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path

import pytest

from espnet3.recipe.run_config import RunConfig
from stages import _volume
from tests.recipe.toy_recipe import ALL
from tests.stages.conftest import Place

Usage = namedtuple("Usage", "total used free")


def planned(place: Place, **env: str) -> dict[str, str]:
    ran = place.run("plan", **env)
    assert ran.code == 0, ran.err
    folder = place.folder / ".runs" / RunConfig.load(place.config).digest / "plan"
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_is_done_is_skipped(place: Place) -> None:
    assert planned(place) == dict.fromkeys(ALL, "run")
    for stage in ("create_dataset", "collect_stats"):
        place.run(stage)
    undone = ["train", "infer", "measure", "export"]
    assert planned(place) == dict.fromkeys(ALL, "skip") | dict.fromkeys(undone, "run")


def test_the_run_config_is_put_where_the_stages_find_it(place: Place) -> None:
    run = RunConfig.load(place.config)
    place.config.write_text(run.to_compressed())
    planned(place)
    put = place.folder / ".runs" / run.digest / "run.yaml"
    assert put.read_text(encoding="utf-8") == run.to_yaml()
    place.config = put
    assert place.run("create_dataset").code == 0


def test_a_changed_setting_runs_what_depends_on_it(place: Place) -> None:
    place.run_all()
    place.recipe.edit("conf/inference.yaml", "beam: 1", "beam: 4")
    place.write_config()
    assert [stage for stage, word in planned(place).items() if word == "run"] != []
    assert planned(place) == dict.fromkeys(ALL, "skip") | dict.fromkeys(["infer", "measure", "export"], "run")


@pytest.mark.parametrize(
    ("env", "to_run"),
    [
        ({"ESPNET3_STAGES": "all"}, ["export"]),
        ({"ESPNET3_STAGES": "train,measure"}, []),
        ({"ESPNET3_STAGES": "train export"}, ["export"]),
        ({"ESPNET3_STAGES": "train", "ESPNET3_FORCE": "train"}, ["train"]),
        ({"ESPNET3_FORCE": "train"}, ["train", "infer", "measure", "export"]),
        ({"ESPNET3_STAGES": "measure", "ESPNET3_FORCE": "train"}, []),
        ({"ESPNET3_FORCE": "all"}, ALL),
    ],
    ids=str,
)
def test_the_environment_chooses_stages(place: Place, env: dict[str, str], to_run: list[str]) -> None:
    place.run_all()
    assert planned(place, **env) == dict.fromkeys(ALL, "skip") | dict.fromkeys(to_run, "run")


def test_the_plan_goes_where_it_is_wanted(place: Place, tmp_path: Path) -> None:
    assert place.run("plan", ESPNET3_PLAN_DIR=str(tmp_path / "deep/plan")).code == 0
    assert (tmp_path / "deep/plan/train").read_bytes() == b"run"


def test_the_outcome_is_the_plan(place: Place) -> None:
    place.run("plan", ESPNET3_OUTCOME_FILE="outcome.json")
    assert json.loads((place.folder / "outcome.json").read_text())["result"] == dict.fromkeys(ALL, "run")


def test_stages_that_others_build_on_are_named_when_they_changed(place: Place) -> None:
    place.run_all()
    place.recipe.edit("conf/training.yaml", "lr: 0.002", "lr: 0.001")
    place.write_config()
    ran = place.run("plan", ESPNET3_STAGES="infer")
    assert "train is not asked for, but has changed since it ran: optimizer.lr: 0.002 → 0.001" in ran.out


def test_all_that_is_wrong_is_said_at_once(place: Place) -> None:
    place.recipe.edit("conf/training.yaml", "optimizer:", "optimzer:")
    place.recipe.edit("conf/training.yaml", "model: {_target_: src.system.Part}", "model: {_target_: src.system.Prt}")
    place.write_config()
    place.config.write_text(place.config.read_text().replace("- export\n", "- exprt\n"))
    (place.folder / "exp").write_text("a file")
    ran = place.run("plan", ESPNET3_STAGES="create_dataset, infer, mesure", ESPNET3_FORCE="trian")
    assert ran.code == 78
    for words in (
        "the run config: unknown stage 'exprt': did you mean export?",
        "ESPNET3_STAGES: unknown stage 'mesure': did you mean measure?",
        "ESPNET3_FORCE: unknown stage 'trian': did you mean train?",
        "training_config.optimzer: did you mean optimizer?",
        "src.system.Prt does not resolve",
        "exp is a file",
        "infer: needs exp/toy, which does not exist; run train first",
    ):
        assert words in ran.err
    assert not list((place.folder / ".runs").rglob("plan"))


@pytest.mark.parametrize(
    ("env", "code"), [({"ESPNET3_STAGES": "trian"}, 78), ({"ESPNET3_STAGES": "infer"}, 66)], ids=["a typo", "no data"]
)
def test_a_run_that_is_refused_can_be_finished(place: Place, env: dict[str, str], code: int) -> None:
    assert place.run("plan", **env).code == code
    (run,) = (place.folder / ".runs").iterdir()
    place.config = run / "run.yaml"
    ran = place.run("report", ESPNET3_ARGO_STATUS="Failed")
    assert ran.code == 0, ran.err
    assert json.loads((run / "outcome.json").read_text())["status"] == "Failed"


def test_missing_inputs_alone_are_a_fault_of_the_data(place: Place) -> None:
    ran = place.run("plan", ESPNET3_STAGES="infer,measure")
    assert ran.code == 66
    assert "infer: needs exp/toy, which does not exist; run train first" in ran.err


def full(directory: Path) -> Usage:
    return Usage(2**40, 2**40 - 2**20, 2**20)


def test_a_volume_that_is_full_is_found_before_anything_starts(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", full)
    ran = place.run("plan")
    assert ran.code == 78
    assert f"{place.folder}: has 1 MiB free; make room" in ran.err


def test_finish_writes_what_came_of_the_run(place: Place) -> None:
    for stage in ALL[:5]:
        place.run(stage)
    failures = json.dumps([{"displayName": "export", "message": "exit code 1, token hunter22"}])
    ran = place.run(
        "report", ESPNET3_ARGO_STATUS="Failed", ESPNET3_ARGO_FAILURES=failures, MY_TOKEN="hunter22"
    )  # fmt: skip
    assert ran.code == 0
    run = RunConfig.load(place.config)
    outcome = json.loads((place.folder / ".runs" / run.digest / "outcome.json").read_text())
    assert json.loads(ran.out) == outcome
    assert (outcome["run"], outcome["recipe"], outcome["status"]) == (run.digest, "toy/asr", "Failed")
    assert outcome["failures"] == [{"displayName": "export", "message": "exit code 1, token ***"}]
    assert {stage: state["done"] for stage, state in outcome["stages"].items()} == {
        **dict.fromkeys(ALL[:5], True),
        "export": False,
    }
    assert outcome["results"]["unseen"]["wer"] == 12.345


def test_the_workflow_keeps_the_gist_of_it(place: Place) -> None:
    place.run("create_dataset")
    failed = [{"displayName": f"shards({number})", "message": "main: Error " + "x" * 900} for number in range(400)]
    told = json.dumps(json.dumps(failed))[: 64 * 1024]  # as Argo hands it on, cut as the workflow cuts it
    ran = place.run("report", ESPNET3_ARGO_STATUS="Failed", ESPNET3_ARGO_FAILURES=told, ESPNET3_OUTCOME_FILE="o.json")
    whole = json.loads(ran.out)["failures"]
    assert whole == failed[: len(whole)]
    assert len(whole) > 60
    brief = json.loads((place.folder / "o.json").read_text(encoding="utf-8"))["result"]
    assert (place.folder / "o.json").stat().st_size < 2500
    assert brief["status"] == "Failed"
    assert brief["failures"][0].startswith("shards(0): main: Error xx")
    assert len(brief["failures"]) == 5
    assert brief["undone"] == ALL[1:]


@pytest.mark.parametrize(("given", "told"), [("", None), ("not JSON", "not JSON"), ("[]", []), (json.dumps("[]"), [])])
def test_finish_takes_what_it_is_told(place: Place, given: str, told: object) -> None:
    outcome = json.loads(place.run("report", ESPNET3_ARGO_FAILURES=given).out)
    assert (outcome["failures"], outcome["status"], outcome["results"]) == (told, None, {})


def test_the_doctor_tells_what_a_volume_is(place: Place) -> None:
    ran = place.run("doctor", ".")
    assert ran.code == 0, ran.err
    for words in ("file system", "uid", "gid", "mode 0", "free", "write, flush, rename, read back works", "a second"):
        assert words in ran.out
    assert list(place.folder.iterdir()) == []


def forgetful(path: Path, content: bytes) -> None:
    path.write_bytes(b"other")


def never_renamed(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.with_name(".old").write_bytes(content)


def without_the_group(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


def refused(path: Path, content: bytes) -> None:
    raise PermissionError(13, "Permission denied", str(path))


def read_only(path: Path, content: bytes) -> None:
    raise OSError(30, "Read-only file system", str(path))


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (forgetful, "gives back other bytes (b'other') than were written (b'first')"),
        (never_renamed, "does not replace a file when one is renamed over it"),
        (without_the_group, "makes files that the group cannot write, although the umask allows it"),
        (refused, "cannot be written (Permission denied); the folder belongs to uid"),
        (read_only, "cannot be written (Read-only file system)"),
    ],
)
def test_the_doctor_says_why_stages_cannot_use_it(
    place: Place, monkeypatch: pytest.MonkeyPatch, write: object, said: str
) -> None:
    monkeypatch.setattr(_volume, "write_bytes", write)
    ran = place.run("doctor", ".")
    assert ran.code == 78
    assert f"stages cannot use {place.folder}:\n  it {said}" in ran.err
    assert list(place.folder.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_the_doctor_knows_a_mount_and_its_room(place: Place, small_disk: Path) -> None:
    ran = place.run("doctor", str(small_disk))
    assert ran.code == 78
    assert f"tmpfs (tmpfs on {small_disk}" in ran.out
    assert "has 1 MiB free; make room" in ran.err


def test_a_read_only_volume_is_told(place: Place, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    ran = place.run("doctor", str(small_disk))
    assert ran.code == 78
    assert "cannot be written (Read-only file system)" in ran.err


@pytest.mark.parametrize(
    ("wanted", "code", "left"),
    [
        ("checkpoints.1", 0, ["checkpoints.2"]),
        ("checkpoints.1 0d", 0, []),
        ("400d", 0, ["checkpoints.1", "checkpoints.2"]),
        ("checkpoints.7", 78, ["checkpoints.1", "checkpoints.2"]),
        ("", 78, ["checkpoints.1", "checkpoints.2"]),
    ],
)
def test_prune_removes_the_backups_that_the_environment_names(
    place: Place, wanted: str, code: int, left: list[str]
) -> None:
    for name in ("checkpoints.1", "checkpoints.2"):
        (place.folder / "exp/toy" / name).mkdir(parents=True)
        (place.folder / "exp/toy" / name / "last.ckpt").write_text("x")
    ran = place.run("prune", ESPNET3_PRUNE=wanted)
    assert ran.code == code, ran.err
    assert sorted(path.name for path in (place.folder / "exp/toy").glob("checkpoints.*")) == left
    assert code == 0 or "exp/toy/checkpoints.2 (1 bytes, 0 days old)" in ran.err

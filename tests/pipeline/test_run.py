import contextlib
import logging
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from espnet3.errors import ConfigError, DataError
from espnet3.pipeline.run import run_stages
from espnet3.systems.base.system import BaseSystem

log = logging.getLogger("recipe")


class ToySystem(BaseSystem):
    def train(self) -> None:
        log.info("training with %s", self.training_config.get("normalize"))
        self.training_config["normalize"] = None
        self.inference_config = OmegaConf.create({"mine": True})

    def infer(self) -> None:
        log.info("inference with %s, %s", self.training_config.get("normalize"), self.inference_config)

    def say(self) -> None:
        log.info("a line with %s", self.training_config.say)
        log.debug("not this one")

    def warn(self) -> None:
        warnings.warn("something is odd", stacklevel=1)

    def fail(self) -> None:
        raise ValueError("no such thing as hunter22")

    def fail_foreseen(self) -> None:
        raise DataError("The data is wrong. Correct it.")

    def fail_type(self) -> None:
        raise TypeError("unexpected keyword argument 'x'")

    def with_argument(self, path: str) -> None:
        raise AssertionError

    def with_default(self, path: str = "a") -> None:
        log.info("path %s", path)


@pytest.fixture
def system(tmp_path: Path) -> ToySystem:
    return ToySystem(training_config={"exp_dir": str(tmp_path / "exp"), "normalize": "global", "say": "ten words"})


def read(system: BaseSystem, name: str) -> str:
    return (system.exp_dir / name).read_text()


def test_a_stage_leaves_a_log_and_the_same_lines_on_stdout(
    system: ToySystem, capsys: pytest.CaptureFixture[str]
) -> None:
    run_stages(system=system, stages_to_run=["say"])
    lines = read(system, "say.log")
    assert capsys.readouterr().out == lines
    assert re.search(r"START say\n.*a line with ten words\n.*DONE say in 0\.\d s\n$", lines)
    assert "not this one" not in lines


def test_the_head_says_what_ran(system: ToySystem) -> None:
    run_stages(system=system, stages_to_run=["say"])
    head = read(system, "say.log").partition("START")[0]
    assert re.search(r"^command: \S*python", head, re.MULTILINE)
    assert re.search(r"^git: recipe (unknown|[0-9a-f]{40}( \(dirty\))?), espnet3 [0-9a-f]{40}", head, re.MULTILINE)
    assert f"python {sys.version.split()[0]}, espnet3" in head or f"python {sys.version.split()[0]}, omegaconf" in head
    assert "training_config:\n" in head
    assert "  normalize: global\n" in head


def test_git_is_unknown_outside_of_a_checkout(
    system: ToySystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_stages(system=system, stages_to_run=["say"])
    assert "git: recipe unknown" in read(system, "say.log")


@pytest.mark.parametrize("dirty", [False, True], ids=["clean", "dirty"])
def test_git_state_of_the_recipe(
    system: ToySystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dirty: bool
) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    (repository / "file").write_text("a")
    for command in (["init", "-q"], ["add", "file"], ["commit", "-q", "-m", "First"]):
        subprocess.run([*git, *command], check=True)
    if dirty:
        (repository / "file").write_text("b")
    monkeypatch.chdir(repository)
    run_stages(system=system, stages_to_run=["say"])
    assert bool(re.search(r"git: recipe [0-9a-f]{40} \(dirty\),", read(system, "say.log"))) is dirty


def test_earlier_logs_are_kept(system: ToySystem) -> None:
    for words in ("first", "second", "third"):
        system.training_config.say = words
        run_stages(system=system, stages_to_run=["say"])
    kept = {"say.1.log": "first", "say.2.log": "second", "say.log": "third"}
    assert {name: f"a line with {words}" in read(system, name) for name, words in kept.items()} == dict.fromkeys(
        kept, True
    )


def test_each_stage_has_its_own_configs(system: ToySystem) -> None:
    run_stages(system=system, stages_to_run=["train", "infer"])
    assert "inference with global, None" in read(system, "infer.log")
    assert system.training_config.normalize == "global"
    assert system.inference_config is None


def test_stages_run_in_the_order_given_and_as_often(system: ToySystem, capsys: pytest.CaptureFixture[str]) -> None:
    run_stages(system=system, stages_to_run=["infer", "train", "infer"])
    assert re.findall(r"START (\w+)", capsys.readouterr().out) == ["infer", "train", "infer"]


def test_methods_with_defaults_are_stages(system: ToySystem) -> None:
    run_stages(system=system, stages_to_run=["with_default"])
    assert "path a" in read(system, "with_default.log")


def test_no_stage_is_no_fault(system: ToySystem) -> None:
    run_stages(system=system, stages_to_run=[])
    assert not system.exp_dir.exists()


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        (["say", "trian"], r"unknown stage 'trian': did you mean train\? stages: create_dataset, collect_stats, train"),
        (["say", "xyz"], "unknown stage 'xyz': stages: create_dataset"),
        (["say", "exp_dir"], "unknown stage 'exp_dir'"),
        (["say", "training_config"], "unknown stage 'training_config'"),
        (["say", "_need"], "unknown stage '_need'"),
        (["say", "__init__"], "unknown stage '__init__'"),
        (["say", "with_argument"], r"'with_argument' of ToySystem wants arguments \(path\)"),
        ("say", r"write \['say'\]"),
    ],
    ids=["near miss", "unknown", "property", "config", "private", "special", "argument", "string"],
)
def test_wrong_names_stop_everything_before_it_starts(system: ToySystem, stages: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        run_stages(system=system, stages_to_run=stages)
    assert not system.exp_dir.exists()


def test_a_log_reference_that_does_not_resolve_stops_everything(tmp_path: Path) -> None:
    system = ToySystem(
        {"exp_dir": str(tmp_path / "exp")},
        inference_config={"inference_dir": "${nowhere}/greedy"},
        stage_log_mapping={"infer": "infer_config.inference_dir"},
    )
    with pytest.raises(ConfigError, match=r"infer_config\.inference_dir does not resolve"):
        run_stages(system=system, stages_to_run=["train", "infer"])
    assert not system.exp_dir.exists()


@pytest.mark.parametrize(
    ("stage", "kind", "message"),
    [
        ("fail", ValueError, "no such thing as hunter22"),
        ("fail_type", TypeError, "unexpected keyword argument 'x'"),
        ("fail_foreseen", DataError, "The data is wrong. Correct it."),
    ],
)
def test_exceptions_keep_type_and_message(system: ToySystem, stage: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        run_stages(system=system, stages_to_run=[stage])
    assert type(caught.value) is kind
    assert str(caught.value) == message


def test_only_unforeseen_exceptions_leave_a_trace(system: ToySystem) -> None:
    for stage in ("fail_type", "fail_foreseen"):
        with pytest.raises((TypeError, DataError)):
            run_stages(system=system, stages_to_run=[stage])
    assert "Traceback (most recent call last)" in read(system, "fail_type.log")
    foreseen = read(system, "fail_foreseen.log")
    assert "Traceback" not in foreseen
    assert re.search(r"FAILED fail_foreseen after 0\.\d s: DataError: The data is wrong\. Correct it\.\n$", foreseen)


@pytest.mark.parametrize("stage", ["say", "fail"])
def test_the_handlers_are_gone_after_the_stage(
    system: ToySystem, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    with contextlib.suppress(ValueError):
        run_stages(system=system, stages_to_run=[stage])
    capsys.readouterr()
    log.warning("after the stage")
    assert (list(root.handlers), root.level) == before
    assert "after the stage" not in read(system, f"{stage}.log") + capsys.readouterr().out


def test_warnings_reach_the_log(system: ToySystem) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        run_stages(system=system, stages_to_run=["warn"])
    assert "something is odd" in read(system, "warn.log")


def test_secrets_are_masked_in_every_line(
    system: ToySystem, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_PASSWORD", "hunter22")
    system.training_config.hub = {"token": "tiger-tiger"}
    system.training_config.say = "tiger-tiger"
    system.training_config.output_keys = ["hyp"]
    run_stages(system=system, stages_to_run=["say"])
    with pytest.raises(ValueError, match="hunter22"):
        run_stages(system=system, stages_to_run=["fail"])
    everything = read(system, "say.log") + read(system, "fail.log") + capsys.readouterr().out
    assert "hunter22" not in everything
    assert "tiger-tiger" not in everything
    assert "a line with ***" in everything
    assert "no such thing as ***" in everything
    assert "- hyp" in everything


def test_an_interpolation_that_the_stage_never_reads_does_not_stop_it(system: ToySystem) -> None:
    system.training_config.unused = "${nowhere}"
    run_stages(system=system, stages_to_run=["say"])
    assert "unused: ${nowhere}" in read(system, "say.log")


@pytest.mark.parametrize("variable", ["RANK", "LOCAL_RANK", "SLURM_PROCID"])
def test_only_the_first_rank_writes_the_log(system: ToySystem, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    run_stages(system=system, stages_to_run=["say"])
    assert not system.exp_dir.exists()
    monkeypatch.setenv(variable, "0")
    run_stages(system=system, stages_to_run=["say"])
    assert [path.name for path in system.exp_dir.iterdir()] == ["say.log"]


def test_every_rank_writes_its_own_log_when_asked(system: ToySystem, monkeypatch: pytest.MonkeyPatch) -> None:
    system.training_config.stage_log_mode = "per_rank"
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        run_stages(system=system, stages_to_run=["say"])
    assert sorted(path.name for path in system.exp_dir.iterdir()) == ["say_rank0.log", "say_rank1.log"]


def test_a_log_that_cannot_be_written_is_refused(system: ToySystem, tmp_path: Path) -> None:
    (tmp_path / "exp").write_text("a file")
    with pytest.raises(ConfigError, match=r"say\.log cannot be written .*: make .* writable"):
        run_stages(system=system, stages_to_run=["say"])


def test_a_stage_that_starts_is_no_longer_done(tmp_path: Path) -> None:
    record = tmp_path / ".done/train.json"
    record.parent.mkdir()
    record.write_text("{}")
    run_stages(system=ToySystem({"exp_dir": str(tmp_path)}), stages_to_run=["train"])
    assert not record.exists()


def test_logs_stand_where_the_stage_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_stages(system=ToySystem(), stages_to_run=["with_default"])
    assert Path("logs/with_default.log").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "small"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("needs the right to mount a small disk")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_ends_the_log_and_not_the_stage(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    system = ToySystem({"exp_dir": str(small_disk), "say": "many words " * 2000})
    run_stages(system=system, stages_to_run=["say", "with_default"])
    out, err = capsys.readouterr()
    assert "DONE with_default" in out
    assert err.count("say.log cannot be written any more: [Errno 28]") == 1

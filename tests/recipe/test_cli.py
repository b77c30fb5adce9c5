"""run.py from a user's side."""

import os
import re
import sys
from pathlib import Path

import pytest
import yaml

from espnet3.recipe.cli import parse_args
from espnet3.recipe.run_config import RunConfig
from tests.recipe.toy_recipe import ALL, CONFIGS, Recipe


def test_the_flags_are_these(recipe: Recipe) -> None:
    described = recipe.run("--help").stdout
    assert sorted(set(re.findall(r"--\w+", described))) == [
        "--dry_run",
        "--force",
        "--help",
        "--inference_config",
        "--metrics_config",
        "--print_config",
        "--prune",
        "--publication_config",
        "--stages",
        "--training_config",
    ]


def test_stages_are_put_in_the_recipes_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "--stages", "infer", "train", "infer"])
    args = parse_args(ALL, recipe_dir=tmp_path)
    assert args.stages == ["train", "infer"]
    assert (args.training_config, args.dry_run, args.force, args.print_config) == (None, False, False, False)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(["upload_model", "train"], ["train", "upload_model"], id="by name"),
        pytest.param(["upload_model", "all"], [*ALL, "upload_model"], id="beside all"),
    ],
)
def test_stages_that_the_recipe_does_not_list_come_last(
    asked: list[str], expected: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", ["run.py", "--stages", *asked])
    assert parse_args(ALL, recipe_dir=tmp_path).stages == expected


def test_a_stage_of_the_system_runs_by_name_though_the_recipe_does_not_list_it(recipe: Recipe) -> None:
    refused = recipe.run("--stages", "upload_model")
    assert refused.returncode == 78
    assert "unknown stage" not in refused.stderr
    assert "upload_model: needs publication_config" in refused.stderr


def test_config_flags_are_relative_to_the_caller(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["run.py", "--training_config", "mine.yaml"])
    args = parse_args(ALL, recipe_dir=tmp_path / "recipe")
    assert args.stages == ALL
    assert args.training_config == tmp_path / "mine.yaml"


@pytest.mark.parametrize("flags", [["--stage", "train"], ["--set", "lr=1"], ["train"]], ids=["short", "own", "bare"])
def test_other_flags_are_refused(recipe: Recipe, flags: list[str]) -> None:
    assert recipe.run(*flags).returncode == 2


def test_runs_all_stages_in_the_recipes_folder_and_shows_the_results(recipe: Recipe, tmp_path: Path) -> None:
    done = recipe.run_alone(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.findall(r"DONE (\w+)", done.stdout) == ALL
    assert (recipe.folder / "exp/toy/averaged.safetensors").exists()
    assert (recipe.folder / "exported-words").exists()
    summary = done.stdout[done.stdout.index("results") :]
    assert re.search(r"unseen +│ +12\.3\d \(10\.0 to 14\.0\)", summary)
    assert "scores   exp/toy/greedy/metrics.json" in summary
    assert f"report   {recipe.folder}/exp/toy/greedy/report.html" in summary
    assert "data/*.log" in summary


@pytest.mark.parametrize(
    ("timing", "backend"),
    [
        ('{"backend": "torch float32", "device": "cpu"}', "torch float32"),
        ('{"backend": "onnxruntime int8"}', "onnxruntime int8"),
        ('{"device": "cpu"}', None),
        ('{"backend": ', None),
        ("[]", None),
    ],
    ids=["torch", "onnx", "not told", "cut", "no timing"],
)
def test_the_results_name_what_ran_the_model(recipe: Recipe, timing: str, backend: str | None) -> None:
    recipe.run()
    folder = recipe.folder / "exp/toy/greedy/unseen"
    (folder / "timing.json").write_text(timing)
    summary = recipe.run("--stages", "measure", "--force").stdout
    assert ("backend" in summary) == (backend is not None)
    if backend:
        assert re.search(rf"unseen +│.*\(10\.0 to 14\.0\) +│ {backend}", summary)


def test_prints_the_run_config(recipe: Recipe, tmp_path: Path) -> None:
    printed = recipe.run("--print_config", "--stages", "train").stdout
    (tmp_path / "run.yaml").write_text(printed)
    run_config = RunConfig.load(tmp_path / "run.yaml")
    assert run_config.stages == ["train"]
    assert run_config.slots["inference_config"]["exp_dir"] == "exp/toy"
    assert yaml.safe_load(printed)["system"] == "src.system.ToySystem"


def test_the_run_config_has_the_values_that_are_meant(recipe: Recipe, tmp_path: Path) -> None:
    recipe.edit("conf/training.yaml", "exp_tag: toy", "exp_tag: toy\nseed: 012\nnum_threads: '3.0'")
    (tmp_path / "run.yaml").write_text(recipe.run("--print_config").stdout)
    training = RunConfig.load(tmp_path / "run.yaml").slots["training_config"]
    assert (training["seed"], training["num_threads"]) == (12, 3)


@pytest.mark.parametrize("flags", [["--dry_run"], []], ids=["dry run", "run"])
def test_a_key_that_nobody_reads_is_told_once(recipe: Recipe, flags: list[str]) -> None:
    recipe.edit("conf/training.yaml", "exp_tag: toy", "exp_tag: toy\nmy_own: 3\nname: x")
    done = recipe.run(*flags)
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stdout.splitlines() if "is not used" in line]
    assert [line.partition(": is")[0] for line in notes] == ["note: conf/training.yaml:2: training_config.my_own"]


def test_another_config_file_is_taken_from_where_the_caller_is(finished: Recipe, tmp_path: Path) -> None:
    other = CONFIGS["training"].replace("exp_tag: toy", "exp_tag: other")
    (tmp_path / "other.yaml").write_text(other)
    ran = finished.run_alone("--training_config", "other.yaml", "--stages", "train", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert (finished.folder / "exp/other/train.log").exists()


def test_guards_of_a_recipes_own(recipe: Recipe) -> None:
    guard = 'if "train" in args.stages:\n        raise SystemExit(f"not on {args.training_config.name}")\n    main('
    recipe.edit("run.py", "main(args=args", guard + "args=args")
    stopped = recipe.run_alone()
    assert (stopped.returncode, stopped.stderr) == (1, "not on training.yaml\n")


def test_every_fault_is_named_before_anything_starts(recipe: Recipe) -> None:
    recipe.edit("conf/training.yaml", "preprocessor:", "preprocesor:")
    recipe.edit("conf/training.yaml", "src.system.Part, lr", "src.system.Prt, lr")
    recipe.write("exp", "a file")
    refused = recipe.run()
    assert refused.returncode == 78
    assert refused.stderr.startswith("error: nothing was started, because\n")
    for words in ("preprocessor", "Prt", "exp is a file"):
        assert words in refused.stderr
    assert not (recipe.folder / "data").exists()


def test_unknown_stages_and_missing_configs_are_named_together(recipe: Recipe) -> None:
    (recipe.folder / "conf/metrics.yaml").unlink()
    refused = recipe.run("--stages", "trian", "measure", "--inference_config", "nowhere.yaml")
    assert refused.returncode == 78
    for words in (
        "unknown stage 'trian': did you mean train? stages: create_dataset, collect_stats",
        "measure: needs metrics_config: write conf/metrics.yaml or give --metrics_config FILE",
        "nowhere.yaml does not exist",
    ):
        assert words in refused.stderr


def test_malformed_yaml_is_named_with_its_line(recipe: Recipe) -> None:
    recipe.write("conf/training.yaml", "a: [1,\nb: 2\n")
    refused = recipe.run()
    assert refused.returncode == 78
    assert re.search(r"training\.yaml:\d+", refused.stderr)
    assert "Traceback" not in refused.stderr


def test_inputs_that_nothing_makes_are_a_fault_of_the_data(recipe: Recipe) -> None:
    refused = recipe.run("--stages", "train")
    assert refused.returncode == 66
    assert "train: needs data/train.jsonl, which does not exist; run create_dataset first" in refused.stderr
    assert re.search(
        r"train: needs data/stats/\w{12}/train/feats_stats.npz, which does not exist; run collect_stats first",
        refused.stderr,
    )


def test_no_stage_is_told_to_run_itself_first(recipe: Recipe) -> None:
    recipe.edit("conf/training.yaml", "  test: [", "  # [")
    refused = recipe.run("--stages", "measure")
    assert "measure: needs exp/toy/greedy, which does not exist" in refused.stderr
    assert "run measure first" not in refused.stderr


def test_a_stage_without_configs_needs_none(recipe: Recipe) -> None:
    for slot in CONFIGS:
        (recipe.folder / f"conf/{slot}.yaml").unlink()
    assert recipe.stages_run_by("--stages", "export") == ["export"]
    assert (recipe.folder / "logs/export.log").exists()


def test_secrets_stay_out_of_messages(recipe: Recipe) -> None:
    recipe.edit("src/parts.py", "return 'words'", "raise RuntimeError('hunter22')")
    failed = recipe.run_alone("--stages", "export", MY_PASSWORD="hunter22")
    assert failed.returncode == 1
    assert "RuntimeError: ***" in failed.stderr
    assert "hunter22" not in failed.stdout + failed.stderr


@pytest.mark.parametrize("flag", ["--print_config", "--dry_run"])
def test_a_secret_in_a_config_is_refused_before_anything_is_shown(finished: Recipe, flag: str) -> None:
    finished.edit("conf/training.yaml", "exp_tag: toy", "exp_tag: toy\nhf_token: hunter22\noptimzer: {}")
    refused = finished.run(flag)
    assert refused.returncode == 78
    assert "training_config.hf_token: is a secret" in refused.stderr
    assert "optimzer" in refused.stderr
    assert "hunter22" not in refused.stdout + refused.stderr


@pytest.mark.parametrize(("code", "name"), [(28, "No space left"), (30, "Read-only")], ids=["full disk", "read-only"])
def test_a_disk_that_takes_nothing_is_told_in_one_line(recipe: Recipe, code: int, name: str) -> None:
    recipe.edit("src/parts.py", "return 'words'", f"raise OSError({code}, '{name}', 'exp/x')")
    failed = recipe.run("--stages", "export")
    assert failed.returncode == 1
    assert re.match(rf"error: \[Errno {code}\] {name}.*make room or choose another directory", failed.stderr)


def test_a_directory_without_permission_is_named(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused = recipe.run("--stages", "create_dataset")
    assert refused.returncode == 78
    assert f"data: cannot be written (no permission in {recipe.folder})" in refused.stderr

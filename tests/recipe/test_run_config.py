"""A run config says everything about a run, and says it again after it was written and read."""

import base64
import hashlib
import re
import shutil
import subprocess
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from espnet3.errors import ConfigError
from espnet3.recipe import run_config as run_config_module
from espnet3.recipe.prepare import Run
from espnet3.recipe.recipe import Recipe, load_recipe
from espnet3.recipe.run_config import RunConfig, build_run_config

RUN = """from src.system import RecipeSystem

DEFAULT_STAGES = ["train"]
SYSTEM_CLS = RecipeSystem
"""
SYSTEM = """from espnet3.systems.base.system import BaseSystem


class RecipeSystem(BaseSystem):
    pass
"""
FILES = {
    "egs3/digits/asr/run.py": RUN,
    "egs3/digits/asr/src/system.py": SYSTEM,
    "egs3/digits/asr/dataset/__init__.py": "CORPUS = 'digits'  # ¡\n",
    "egs3/other_corpus/asr/dataset/__init__.py": "from egs3.other_corpus.asr.dataset.builder import CORPUS\n",
    "egs3/other_corpus/asr/dataset/builder.py": "CORPUS = 'other'\n",
    "egs3/other_corpus/asr/run.py": "raise SystemExit\n",
}


@pytest.fixture
def recipe_dir(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "egs3/digits/asr"


def config(**values: Any) -> DictConfig:
    return OmegaConf.create({"exp_dir": "exp/a", "lr": 0.002, **values})


def run_config_of(recipe: Recipe, slots: Mapping[str, DictConfig | None]) -> RunConfig:
    configs = {slot: config for slot, config in slots.items() if config is not None}
    return Run(recipe, recipe.stages, configs, ()).config


@pytest.fixture
def written(recipe_dir: Path) -> Path:
    path = recipe_dir / "run.yaml"
    slots = {"training_config": config(), "metrics_config": None}
    path.write_text(run_config_of(load_recipe(recipe_dir), slots).to_yaml(), encoding="utf-8")
    return path


def edit(path: Path, change: dict[str, Any]) -> Path:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump(merge(content, change)), encoding="utf-8")
    return path


def merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return old | {key: merge(old.get(key), value) for key, value in new.items()}


def test_it_holds_system_stages_slots_and_code(written: Path) -> None:
    run = RunConfig.load(written)
    assert (run.schema_version, run.system, run.stages) == (1, "src.system.RecipeSystem", ["train"])
    assert run.slots == {"training_config": {"exp_dir": "exp/a", "lr": 0.002}}
    assert run.recipe.name == "digits/asr"
    assert list(run.recipe.files) == ["dataset/__init__.py", "run.py", "src/system.py"]
    assert run.recipe.files["run.py"].text == RUN


def test_code_is_readable_in_the_file(written: Path) -> None:
    assert "      text: |\n        from src.system import RecipeSystem\n" in written.read_text(encoding="utf-8")


def test_each_config_is_a_fresh_copy(written: Path) -> None:
    run = RunConfig.load(written)
    first = run.config("training_config")
    assert first is not None
    first.lr = 1
    assert run.config("training_config") == config()
    assert run.config("metrics_config") is None


def test_dataset_modules_of_other_recipes_travel_too(recipe_dir: Path) -> None:
    sources = ["other-corpus/asr", "egs3.other_corpus.asr.dataset", "some.package"]
    references = [{"data_src": source} for source in sources]
    run = run_config_of(load_recipe(recipe_dir), {"training_config": config(dataset={"train": references})})
    assert {name for name in run.recipe.files if name.startswith("egs3")} == {
        "egs3/other_corpus/asr/dataset/__init__.py",
        "egs3/other_corpus/asr/dataset/builder.py",
    }


def test_a_dataset_module_that_is_not_there_is_named(recipe_dir: Path) -> None:
    slots = {"training_config": config(dataset={"train": [{"data_src": "gone/asr"}]})}
    with pytest.raises(ConfigError, match=r"data_src 'gone/asr' names egs3/gone/asr/dataset, which is in none of"):
        run_config_of(load_recipe(recipe_dir), slots)


def test_what_is_too_large_to_travel_is_refused(recipe_dir: Path) -> None:
    for number in range(5):
        noise = "\n".join(hashlib.sha256(b"%d %d" % (number, line)).hexdigest() for line in range(1000))
        (recipe_dir / f"src/noise{number}.txt").write_text(noise, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"bytes compressed, and 131072 may travel.*src/noise"):
        run_config_of(load_recipe(recipe_dir), {"training_config": config()})


def test_unpacked_it_is_the_recipe_again(written: Path, tmp_path: Path) -> None:
    run = RunConfig.load(written)
    slots = {"training_config": run.config("training_config")}
    folder = run.unpack(tmp_path / "runs/digits/asr")
    assert run_config_of(load_recipe(folder), slots) == run
    assert run.unpack(folder) == folder  # Compiled files of the first load do no harm.


def test_unpacked_code_wins_over_what_is_installed(recipe_dir: Path, tmp_path: Path) -> None:
    slots = {"training_config": config(dataset={"train": [{"data_src": "other_corpus/asr"}]})}
    run = run_config_of(load_recipe(recipe_dir), slots)
    folder = run.unpack(tmp_path / "unpacked")
    (recipe_dir.parents[1] / "other_corpus/asr/dataset/builder.py").write_text("CORPUS = 'stale'", encoding="utf-8")
    code = "import egs3.other_corpus.asr.dataset as d, sys; sys.stdout.write(d.CORPUS)"
    script = f"import sys; sys.path[:0] = [{str(folder)!r}, {str(tmp_path)!r}]; {code}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "other"


def test_it_is_not_unpacked_over_other_files(written: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/run.py").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds other files than this run's recipe; give a new or empty folder"):
        RunConfig.load(written).unpack(tmp_path / "full")
    assert (tmp_path / "full/run.py").read_text(encoding="utf-8") == "mine"


def test_processes_may_unpack_at_once(written: Path, tmp_path: Path) -> None:
    code = f"""
import sys
import zlib
from pathlib import Path
from espnet3.recipe.run_config import RunConfig, build_run_config
run = RunConfig.load({str(written)!r})
print("ready", flush=True)
sys.stdin.read()
for number in range(40):
    run.unpack(Path({str(tmp_path)!r}) / "there" / str(number))
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.close()
    for process in processes:
        assert process.wait(60) == 0, process.stderr.read()
        process.stdout.close()
        process.stderr.close()
    assert {path.name for path in (tmp_path / "there").iterdir()} == {str(number) for number in range(40)}
    assert len(list((tmp_path / "there").rglob("run.py"))) == 40


def test_half_written_code_of_a_killed_process_does_no_harm(written: Path, tmp_path: Path) -> None:
    (tmp_path / ".recipe.1.00000000.tmp").mkdir()
    (tmp_path / "recipe").mkdir()
    run = RunConfig.load(written)
    assert (run.unpack(tmp_path / "recipe") / "run.py").read_text(encoding="utf-8") == RUN


def test_compressed_it_is_the_same(written: Path, tmp_path: Path) -> None:
    run = RunConfig.load(written)
    compressed = run.to_compressed()
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", compressed)
    for text in (compressed, f"{compressed}\n", "\n".join(re.findall(".{1,76}", compressed))):
        (tmp_path / "run").write_text(text, encoding="ascii")
        assert RunConfig.load(tmp_path / "run") == run


def test_its_digest_is_that_of_its_text(written: Path) -> None:
    run = RunConfig.load(written)
    assert run.digest == hashlib.sha256(run.to_yaml().encode()).hexdigest()[:12]
    assert RunConfig.load(edit(written, {"slots": {"training_config": {"lr": 0.003}}})).digest != run.digest


def test_what_is_made_to_fill_the_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(base64.b64encode(zlib.compress(bytes(2**26), 9)))
    with pytest.raises(ConfigError, match="a compressed run config that was damaged or cut off"):
        RunConfig.load(tmp_path / "run")


def test_an_older_schema_loads(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_config_module, "SCHEMA_VERSION", 2)
    assert RunConfig.load(written).schema_version == 1


SHA = "0" * 64


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"schema_version": 2}, r"schema_version 2, this espnet3 reads up to 1: a newer one", id="newer"),
        pytest.param({"schema_version": None}, r"run config\.schema_version: .*integer", id="no version"),
        pytest.param({"schema_version": "1"}, r"run config\.schema_version: .*integer", id="version is text"),
        pytest.param({"slot": {}}, r"run config\.slot: Extra inputs are not permitted", id="unknown key"),
        pytest.param({"recipe": {"owner": 1}}, r"run config\.recipe\.owner: Extra", id="unknown key inside"),
        pytest.param({"stages": "train"}, r"run config\.stages: .*list", id="wrong type"),
        pytest.param({"recipe": {"files": {"run.py": {"sha256": SHA}}}}, r"files\.run\.py: .*damaged", id="damaged"),
        *(
            pytest.param(
                {"recipe": {"files": {name: {"sha256": SHA, "text": ""}}}}, r"plain relative path into src/", id=reason
            )
            for name, reason in {
                "../run.py": "out of the folder",
                "src/../../x.py": "out by the middle",
                "/etc/passwd": "absolute",
                "src\\..\\x": "backslashes",
                "C:/x": "a drive",
                "src//x.py": "not normal",
                "src/./x.py": "not normal either",
                "src": "a folder's name",
                "torch.py": "a module that would hide another",
                "src/a\nb": "a line break",
                "": "empty",
                "run.py/x": "below a file",
            }.items()
        ),
    ],
)
def test_an_unsound_run_config_is_refused(written: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        RunConfig.load(edit(written, change))
    assert "run.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"a: [", "malformed YAML", id="malformed"),
        pytest.param(b"", "is not a run config", id="empty"),
        pytest.param(b"- 1", "is not a run config", id="a list"),
        pytest.param(b"\xff\xfe\xff", "malformed YAML", id="no text"),
        pytest.param(b"!!python/object:os.system {}", "malformed YAML", id="a Python object"),
    ],
)
def test_a_file_that_is_no_run_config_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "run.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        RunConfig.load(tmp_path / "run.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run config .*run\.yaml cannot be read: No such file"):
        RunConfig.load(tmp_path / "run.yaml")


def test_a_file_without_run_py_is_refused(written: Path) -> None:
    content = yaml.safe_load(written.read_text(encoding="utf-8"))
    del content["recipe"]["files"]["run.py"]
    written.write_text(yaml.safe_dump(content), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"there is no run\.py among the files"):
        RunConfig.load(written)


TEXT = st.text(max_size=30) | st.sampled_from(
    ["1e3", "-.5E-3", "on", "2026-01-01", "${a}", "\\${a}", "{{x}}", " a\n", "\r\n"]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)


@given(TEXT.filter(lambda text: "\0" not in text), VALUES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
def test_whatever_it_holds_survives_writing_and_reading(recipe_dir: Path, text: str, value: Any) -> None:
    recipe = load_recipe(recipe_dir)
    slots = {"training_config": OmegaConf.create({"value": None})}
    run = build_run_config(recipe, recipe.stages, slots, {**recipe.files, "src/text.txt": text})
    run = run.model_copy(update={"slots": {"training_config": {"value": value}}})
    path = recipe_dir / "run.yaml"
    path.write_text(run.to_yaml(), encoding="utf-8", newline="\n")
    again = RunConfig.load(path)
    assert again == run
    assert again.to_yaml() == run.to_yaml()
    assert OmegaConf.to_container(again.config("training_config"), resolve=True) == {"value": value}
    shutil.rmtree(recipe_dir / "unpacked", ignore_errors=True)
    assert (again.unpack(recipe_dir / "unpacked") / "src/text.txt").read_bytes() == text.encode()

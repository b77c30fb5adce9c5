"""Recipes are read without being run, and never see each other's code."""

import multiprocessing
import pickle
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from espnet3.errors import ConfigError
from espnet3.pipeline.code import Code
from espnet3.recipe.recipe import activated, import_recipe_module, load_recipe, load_system, recipe_folder, recipe_name

RUN = """
from src.system import RecipeSystem
DEFAULT_STAGES = ["train", "export_debug"]
SYSTEM_CLS = RecipeSystem
if __name__ == "__main__":
    raise SystemExit("only when it is run")
"""
SYSTEM = """
from espnet3.systems.base.system import BaseSystem
from src.names import NAME

class RecipeSystem(BaseSystem):
    name = NAME

    def export_debug(self):
        from src import late
        return late.NAME

def double(number):
    return (NAME, 2 * number)

class Result:
    pass
"""


def make_recipe(folder: Path, name: str, run: str = RUN) -> Path:
    for file, text in {
        "run.py": run,
        "src/__init__.py": "",
        "src/system.py": SYSTEM,
        "src/names.py": f"NAME = {name!r}",
        "src/late.py": f"NAME = 'late {name}'",
        "dataset/__init__.py": f"CORPUS = {name!r}",
    }.items():
        path = folder / name / "asr" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / name / "asr"


def own_modules() -> set[str]:
    return {name for name in sys.modules if name.partition(".")[0] in {"src", "dataset"}}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    modules, path = own_modules(), list(sys.path)
    yield
    assert (own_modules(), sys.path) == (modules, path)


def test_a_recipe_is_read_without_being_run(tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path, "one"))
    assert recipe.name == "one/asr"
    assert recipe.stages == ("train", "export_debug")
    assert recipe.system_cls.__name__ == "RecipeSystem"
    assert set(recipe.files) == {
        *("run.py", "src/__init__.py", "src/system.py", "src/names.py", "src/late.py", "dataset/__init__.py")
    }


def test_two_recipes_never_see_each_others_code(tmp_path: Path) -> None:
    one, two = (load_recipe(make_recipe(tmp_path, name)) for name in ("one", "two"))
    assert (one.system_cls.name, two.system_cls.name) == ("one", "two")
    for recipe in (one, two, one):
        with recipe.activated():
            assert recipe.system_cls().export_debug() == f"late {recipe.system_cls.name}"


def test_blocks_nest_and_modules_keep_their_identity(tmp_path: Path) -> None:
    one, two = (load_recipe(make_recipe(tmp_path, name)) for name in ("one", "two"))
    with one.activated():
        from src import late  # type: ignore[import-not-found,unused-ignore]

        with two.activated():
            assert sys.modules["src.names"].NAME == "two"
            with one.activated():
                assert sys.modules["src.late"] is late
            assert "src.late" not in sys.modules
        assert sys.modules["src.late"] is late
        assert sys.modules["src.system"].RecipeSystem is one.system_cls


def test_the_block_ends_well_after_an_error(tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path, "one"))
    with pytest.raises(ZeroDivisionError), recipe.activated():
        raise ZeroDivisionError


def test_what_the_running_script_has_imported_stays_the_same(tmp_path: Path) -> None:
    folder = make_recipe(tmp_path, "one")
    with activated(folder):
        import src.system  # type: ignore[import-not-found,unused-ignore]

        assert load_recipe(folder).system_cls is src.system.RecipeSystem


def test_objects_of_a_recipe_are_pickled_while_it_is_active(tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path, "one"))
    with recipe.activated():
        result = sys.modules["src.system"].Result
        assert type(pickle.loads(pickle.dumps(result()))) is result


def test_a_spawned_worker_finds_the_recipes_code(tmp_path: Path) -> None:
    recipe = load_recipe(make_recipe(tmp_path, "one"))
    with recipe.activated(), multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(sys.modules["src.system"].double, [1, 2]) == [("one", 2), ("one", 4)]


def test_a_dot_is_the_active_recipe_wherever_one_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = make_recipe(tmp_path, "one"), make_recipe(tmp_path, "two")
    monkeypatch.chdir(two)
    assert recipe_folder(".") == two.resolve()
    with activated(one):
        assert recipe_folder(".") == recipe_folder(Path()) == one.resolve()
        assert recipe_folder(two) == two.resolve()
        assert import_recipe_module(".", "dataset").__file__ == str(one.resolve() / "dataset/__init__.py")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            assert pool.map(recipe_folder, ["."]) == [one.resolve()]
        with activated(two):
            assert recipe_folder(".") == two.resolve()
        assert recipe_folder(".") == one.resolve()
    assert recipe_folder(".") == two.resolve()


@pytest.mark.parametrize(
    ("dotted", "name"),
    [
        ("src.system.RecipeSystem", "src.system.RecipeSystem"),
        ("run.SYSTEM_CLS", "src.system.RecipeSystem"),
        ("espnet3.systems.base.system.BaseSystem", "espnet3.systems.base.system.BaseSystem"),
    ],
)
def test_a_system_is_loaded_by_its_name(tmp_path: Path, dotted: str, name: str) -> None:
    recipe = make_recipe(tmp_path, "one")
    with activated(recipe):
        system = load_system(recipe, dotted)
    assert f"{system.__module__}.{system.__qualname__}" == name


@pytest.mark.parametrize(
    ("dotted", "message"),
    [
        ("src.system.Nothing", "but src.system has no Nothing"),
        ("run.Nothing", "but run has no Nothing"),
        ("src.nothing.System", "there is no module src.nothing: it belongs into the recipe's src/"),
        ("nothing.System", "there is no module nothing"),
        ("pathlib.Path", "to a subclass of espnet3.systems.base.system.BaseSystem"),
    ],
)
def test_a_system_that_is_none_is_refused(tmp_path: Path, dotted: str, message: str) -> None:
    recipe = make_recipe(tmp_path, "one")
    with activated(recipe), pytest.raises(ConfigError, match=re.escape(message)):
        load_system(recipe, dotted)


def test_a_licence_travels_and_redoes_nothing(tmp_path: Path) -> None:
    folder = make_recipe(tmp_path, "one")
    recipe = load_recipe(folder)
    before = Code(folder, recipe.files).of_stage(recipe.system_cls, "train", {"a": "src.names.NAME"})
    (folder / "LICENSE.corpus").write_text("Free for all.", encoding="utf-8")
    recipe = load_recipe(folder)
    assert recipe.files["LICENSE.corpus"] == "Free for all."
    assert Code(folder, recipe.files).of_stage(recipe.system_cls, "train", {"a": "src.names.NAME"}) == before


def test_a_module_of_the_recipe_is_imported_by_name(tmp_path: Path) -> None:
    one, two = (make_recipe(tmp_path, name) for name in ("one", "two"))
    assert import_recipe_module(one, "dataset").CORPUS == "one"
    assert import_recipe_module(two, "dataset").CORPUS == "two"
    assert import_recipe_module(one, "dataset") is import_recipe_module(one, "dataset")
    assert import_recipe_module(one, "src.names").NAME == "one"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("src.gone", r"has no module src\.gone: write .*src/gone/__init__\.py", id="not there"),
        pytest.param("os", r"os is not a module of a recipe: those begin with src or dataset", id="not the recipe's"),
    ],
)
def test_a_module_that_is_not_there_is_named(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        import_recipe_module(make_recipe(tmp_path, "one"), name)


def test_an_import_that_fails_inside_a_module_comes_through(tmp_path: Path) -> None:
    folder = make_recipe(tmp_path, "one")
    (folder / "dataset/__init__.py").write_text("import no_such_package", encoding="utf-8")
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        import_recipe_module(folder, "dataset")


STAGES = 'DEFAULT_STAGES = ["train"]\n'
SYSTEM_LINE = "from espnet3.systems.base.system import BaseSystem as SYSTEM_CLS\n"


@pytest.mark.parametrize(
    ("run", "message"),
    [
        pytest.param(SYSTEM_LINE, r"run\.py must set DEFAULT_STAGES at module level", id="no stages"),
        pytest.param(SYSTEM_LINE + "DEFAULT_STAGES = 'train'", r"must set DEFAULT_STAGES", id="stages are a string"),
        pytest.param(SYSTEM_LINE + "DEFAULT_STAGES = []", r"must set DEFAULT_STAGES", id="no stage"),
        pytest.param(SYSTEM_LINE + "DEFAULT_STAGES = [1]", r"must set DEFAULT_STAGES", id="stages are numbers"),
        pytest.param(
            SYSTEM_LINE + "DEFAULT_STAGES = ['a', 'b', 'a']", r"names a twice; name each stage once", id="stage twice"
        ),
        pytest.param(STAGES, r"must set SYSTEM_CLS .*; it is set to nothing", id="no System"),
        pytest.param(STAGES + "SYSTEM_CLS = dict", r"it is set to <class 'dict'>", id="no subclass"),
        pytest.param(STAGES + SYSTEM_LINE + "SYSTEM_CLS = SYSTEM_CLS()", r"it is set to <.*BaseSystem", id="an object"),
        pytest.param(STAGES + "def x(:\n", r"run\.py:2: invalid syntax\. Correct this line", id="syntax"),
        pytest.param(
            "\nimport src.gone\n", r"run\.py:2: ModuleNotFoundError: No module named 'src\.gone'", id="import"
        ),
        pytest.param("from src.broken import x\n", r"src/broken\.py:3: .*Correct this line", id="syntax in src"),
        pytest.param(STAGES + "\n1 / 0\n", r"run\.py:3: ZeroDivisionError", id="an error"),
        pytest.param("raise SystemExit(2)", r"run\.py:1: .*if __name__ == \"__main__\"", id="it runs when loaded"),
    ],
)
def test_an_unsound_run_py_names_line_and_cure(tmp_path: Path, run: str, message: str) -> None:
    folder = make_recipe(tmp_path, "one", run)
    (folder / "src/broken.py").write_text("a = 1\n\nb = (\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_recipe(folder)


def test_a_folder_without_run_py_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"is not a recipe: it has no run\.py"):
        load_recipe(tmp_path)


def test_only_small_text_files_travel(tmp_path: Path) -> None:
    folder = make_recipe(tmp_path, "one")
    (folder / "dataset/speech.flac").write_bytes(b"fLaC\0\xff")
    (folder / "dataset/words.txt").write_bytes("für\r\n".encode())
    (folder / "dataset/large.jsonl").write_text("x" * 70_000, encoding="utf-8")
    (folder / "src/.hidden").write_text("", encoding="utf-8")
    (folder / "conf").mkdir()
    (folder / "conf/training.yaml").write_text("", encoding="utf-8")
    files = load_recipe(folder).files
    assert files["dataset/words.txt"] == "für\r\n"
    assert not {"dataset/speech.flac", "dataset/large.jsonl", "src/.hidden", "conf/training.yaml"} & set(files)
    assert not any("__pycache__" in name for name in files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"#" * 70_000, r"large\.py has 70000 bytes; .*Split it", id="too large"),
        pytest.param(b"# \xff", r"large\.py is not UTF-8 text", id="no UTF-8"),
    ],
)
def test_python_that_cannot_travel_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    folder = make_recipe(tmp_path, "one")
    (folder / "src/large.py").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        assert not load_recipe(folder).files


def test_unpacked_code_keeps_its_recipe_s_name(tmp_path: Path) -> None:
    folder = make_recipe(tmp_path, "one")
    assert recipe_name(folder) == "one/asr"
    with activated(folder, "digits/asr"):
        assert recipe_name(Path()) == recipe_name(folder) == "digits/asr"

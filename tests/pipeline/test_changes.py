"""Thirty changes, and the stages that must and must not run again: of a recipe whose files depend on what it reads.

Each stage writes a digest of the contents that it used, so that equal inputs leave equal files, as real stages do.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.recipe.toy_recipe import CONFIGS, Recipe

TOOLBOX = """\
import hashlib
import json
from pathlib import Path


def write(name, *things):
    digest = hashlib.sha256(json.dumps(things, default=str).encode()).hexdigest()
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(json.dumps({"unseen": {"digest": digest}}))


def read(*names):
    return [Path(name).read_bytes().decode() for name in names if Path(name).is_file()]
"""
STAGES = """\
from pathlib import Path

from espnet3.systems.base.products import stats_key
from espnet3.systems.base.system import BaseSystem

from toolbox import read, write


class Stages(BaseSystem):
    def create_dataset(self):
        table = read(self.training_config.create_dataset.table)[0]
        manifests = ["data/train.jsonl", "data/valid.jsonl", "data/test.jsonl"]
        if read("data/made_of") == [table] and len(read(*manifests)) == 3:
            return  # as a builder: an edited manifest is checked and stays
        lines = table.splitlines()
        for split in ("train", "valid", "test"):
            Path("data").mkdir(exist_ok=True)
            Path(f"data/{split}.jsonl").write_text("".join(f"{line}\\n" for line in lines if line.startswith(split)))
        Path("data/made_of").write_text(table)

    def collect_stats(self):
        stats = f"data/stats/{stats_key(self.training_config)}"
        inputs = read("data/train.jsonl", "data/valid.jsonl"), self.training_config.features.n_mels
        for name in ("train/feats_stats.npz", "train/feats_shape", "valid/feats_shape"):
            write(f"{stats}/{name}", name, inputs)

    def train(self):
        config = self.training_config
        stats = f"data/stats/{stats_key(config)}/train/feats_stats.npz"
        encoder = sorted(Path(config.model.encoder).iterdir())
        used = read("data/train.jsonl", "data/valid.jsonl", stats, config.init_param.file, *encoder)
        write(self.exp_dir / "averaged.safetensors", used, config.model.size, config.optimizer.lr)
        write(self.exp_dir / "config.yaml", config.model.size)

    def infer(self):
        config = self.inference_config
        used = read("exp/toy/averaged.safetensors", config.model.lm), config.model.beam
        for test in config.dataset.test:
            manifest = read(test.data_src_args.manifest)
            heard = [line.split()[1] for line in manifest[0].splitlines()]
            write(f"{config.inference_dir}/{test.name}/hyp.scp", used, heard)

    def measure(self):
        config = self.metrics_config
        tests = [(test.name, read(test.data_src_args.manifest)) for test in config.dataset.test]
        heard = [read(f"{config.inference_dir}/{name}/hyp.scp") for name, _ in tests]
        write(f"{config.inference_dir}/metrics.json", tests, heard, config.metrics[0].metric.unit)
"""
TABLE = "train a one\ntrain b two\nvalid c three\ntest d four\n"
CODE = {
    "src/system.py": "from stages_of_toy import Stages\n\n\nclass CountingSystem(Stages):\n    pass\n",
    "src/model.py": "class Net:\n    SIZE = 1\n\n    def __init__(self, **arguments):\n        pass\n",
    "src/parts.py": "class Part:\n    def __init__(self, **arguments):\n        pass\n",
    "dataset/__init__.py": "from dataset.builder import Builder as DatasetBuilder\n\n\nclass Dataset:\n"
    "    def __init__(self, manifest):\n        pass\n",
    "dataset/builder.py": "class Builder:\n    def __init__(self, data_dir, table):\n        self.table = table\n",
}
ENCODER = {"encoder/config.json": "{}", "encoder/model.bin": "e"}
REST = ["collect_stats", "train", "infer", "measure"]
ALL = ["create_dataset", *REST]


IMPORT = "import sys\nsys.path.insert(0, {library!r})\nfrom src.system import CountingSystem as ToySystem"
INFERENCE = """\
inference_dir: ${exp_dir}/greedy
model: {_target_: src.parts.Part, beam: 1, lm: lm.arpa, exp_dir: "${exp_dir}"}
parallel: {shards: 2}
"""


@pytest.fixture(scope="module")
def finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(tmp_path_factory.mktemp("counting") / "toy/asr")
    shutil.rmtree(recipe.folder / "src")
    for name, text in {
        **CODE,
        "src/__init__.py": "",
        "corpus.tsv": TABLE,
        "lm.arpa": "lm",
        "init.bin": "i",
        **ENCODER,
    }.items():
        recipe.write(name, text)
    library = recipe.folder.parents[1] / "library"
    library.mkdir()
    (library / "toolbox.py").write_text(TOOLBOX)
    (library / "stages_of_toy.py").write_text(STAGES)
    recipe.edit("run.py", "from src.system import ToySystem", IMPORT.format(library=str(library)))
    recipe.edit("run.py", ', "export"]', "]")
    training = CONFIGS["training"].replace("src.system.Part", "src.parts.Part")
    training = training.replace(
        "create_dataset: {}", "create_dataset: {table: corpus.tsv}\ninit_param: {file: init.bin}"
    )
    training = training.replace(
        "model: {_target_: src.parts.Part}", "model: {_target_: src.model.Net, size: 1, encoder: ./encoder}"
    )
    recipe.write("conf/training.yaml", training)
    recipe.write("conf/inference.yaml", INFERENCE)
    recipe.write("conf/metrics.yaml", "metrics: [{metric: {_target_: src.parts.Part, unit: word}}]\n")
    ran = recipe.run_alone()
    assert ran.returncode == 0, ran.stderr
    return recipe.folder


@pytest.fixture
def finished(finished_once: Path, tmp_path: Path) -> Recipe:
    recipe = Recipe(tmp_path / "toy/asr")
    shutil.rmtree(recipe.folder)
    shutil.copytree(finished_once, recipe.folder)
    return recipe


Change = Callable[[Recipe], object]


def edit(name: str, old: str, new: str) -> Change:
    return lambda recipe: recipe.edit(name, old, new)


def touch(name: str) -> Change:
    return lambda recipe: os.utime(recipe.folder / name, ns=(1, 1))


def recopy(name: str) -> Change:
    def change(recipe: Recipe) -> None:
        shutil.copyfile(recipe.folder / name, recipe.folder / "copy")
        (recipe.folder / "copy").replace(recipe.folder / name)

    return change


def move(name: str, to: str, config: str) -> Change:
    def change(recipe: Recipe) -> None:
        (recipe.folder / to).parent.mkdir(parents=True, exist_ok=True)
        (recipe.folder / name).rename(recipe.folder / to)
        recipe.edit(config, name, to)

    return change


def cut(pattern: str) -> Change:
    def change(recipe: Recipe) -> None:
        (path,) = recipe.folder.glob(pattern)
        path.write_bytes(path.read_bytes()[:10])

    return change


def delete(pattern: str) -> Change:
    def change(recipe: Recipe) -> None:
        (path,) = recipe.folder.glob(pattern)
        path.unlink()

    return change


ONE_MORE_TEST = "  test: [{name: again, data_src_args: {manifest: data/test.jsonl}}, "
CHANGES: dict[str, tuple[Change, list[str]]] = {
    "nothing": (lambda recipe: None, []),
    "a learning rate": (edit("conf/training.yaml", "0.002", "0.001"), ["train", "infer", "measure"]),
    "a model's setting": (edit("conf/training.yaml", "size: 1", "size: 2"), ["train", "infer", "measure"]),
    "a feature": (edit("conf/training.yaml", "n_mels: 80", "n_mels: 40"), REST),
    "a decoder's setting": (edit("conf/inference.yaml", "beam: 1", "beam: 2"), ["infer", "measure"]),
    "a metric's setting": (edit("conf/metrics.yaml", "unit: word", "unit: letter"), ["measure"]),
    "how many shards": (edit("conf/inference.yaml", "shards: 2", "shards: 5"), []),
    "how many workers": (edit("conf/training.yaml", "data_dir: data", "data_dir: data\nnum_workers: 3"), []),
    "a word of the training's corpus": (edit("corpus.tsv", "a one", "a won"), ALL),
    "a word of the validation": (edit("corpus.tsv", "c three", "c tree"), ALL),
    "a word of the test set's corpus": (edit("corpus.tsv", "d four", "d for"), ["create_dataset", "infer", "measure"]),
    "a line of the corpus that is not used": (
        lambda recipe: recipe.write("corpus.tsv", TABLE + "dev x y\n"),
        ["create_dataset"],
    ),
    "a reference corrected in the manifest": (
        edit("data/test.jsonl", "four", "for"),
        ["create_dataset", "infer", "measure"],
    ),
    "another language model under the same path": (edit("lm.arpa", "lm", "ml"), ["infer", "measure"]),
    "other initial weights under the same path": (edit("init.bin", "i", "j"), ["train", "infer", "measure"]),
    "another model in a folder": (edit("encoder/model.bin", "e", "f"), ["train", "infer", "measure"]),
    "a touched file of a folder": (touch("encoder/model.bin"), []),
    "a moved folder": (move("./encoder", "models/encoder", "conf/training.yaml"), []),
    "a touched corpus": (touch("corpus.tsv"), []),
    "a corpus that was copied again": (recopy("corpus.tsv"), []),
    "a touched language model": (touch("lm.arpa"), []),
    "touched weights": (touch("exp/toy/averaged.safetensors"), []),
    "a moved corpus": (move("corpus.tsv", "elsewhere/corpus.tsv", "conf/training.yaml"), []),
    "a moved language model": (move("lm.arpa", "lm/other.arpa", "conf/inference.yaml"), []),
    "moved initial weights": (move("init.bin", "pretrained.bin", "conf/training.yaml"), []),
    "a corpus that is gone": (delete("corpus.tsv"), []),
    "a further test set": (edit("conf/training.yaml", "  test: [", ONE_MORE_TEST), ["infer", "measure"]),
    "a comment in the builder": (edit("dataset/builder.py", "class", "# One.\nclass"), []),
    "a docstring of the model": (edit("src/model.py", "    SIZE", '    """A net."""\n\n    SIZE'), []),
    "the builder's code": (edit("dataset/builder.py", "= table", "= str(table)"), ["create_dataset"]),
    "the model's code": (edit("src/model.py", "SIZE = 1", "SIZE = 2"), ["train"]),
    "the code of a part of all": (
        edit("src/parts.py", "pass", "self.x = 1"),
        ["collect_stats", "train", "infer", "measure"],
    ),
    "cut weights": (cut("exp/toy/averaged.safetensors"), ["train"]),
    "cut statistics": (cut("data/stats/*/train/feats_stats.npz"), ["collect_stats"]),
    "cut hypotheses": (cut("exp/toy/greedy/unseen/hyp.scp"), ["infer"]),
    "cut scores": (cut("exp/toy/greedy/metrics.json"), ["measure"]),
    "hypotheses that are gone": (delete("exp/toy/greedy/unseen/hyp.scp"), ["infer"]),
    "a manifest that is gone": (delete("data/train.jsonl"), ["create_dataset"]),
    "a record that is gone": (delete("exp/toy/.done/train.json"), ["train"]),
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_change_redoes_what_it_reaches_and_nothing_else(finished: Recipe, case: str) -> None:
    change, expected = CHANGES[case]
    before = {path.name: path.read_bytes() for path in (finished.folder / "exp/toy").rglob("*.s*") if path.is_file()}
    change(finished)
    ran = finished.run_alone()
    assert ran.returncode == 0, ran.stderr
    assert re.findall(r"DONE (\w+)", ran.stdout) == expected
    again = finished.run_alone()
    assert re.findall(r"DONE (\w+)", again.stdout) == []
    if not {"train", "infer"} & {*expected} or case.startswith(("cut", "hypotheses that", "a record")):
        after = {path.name: path.read_bytes() for path in (finished.folder / "exp/toy").rglob("*.s*") if path.is_file()}
        assert after == before


REASONS = {
    "a learning rate": ("train", "optimizer.lr: 0.002 → 0.001"),
    "another language model under the same path": ("infer", r"lm\.arpa changed \(sha256 \w{8}… → \w{8}…\)"),
    "a reference corrected in the manifest": ("measure", r"data/test\.jsonl changed \(\d+ → \d+ bytes\)"),
    "other initial weights under the same path": ("train", r"init\.bin changed \(sha256 \w{8}… → \w{8}…\)"),
    "another model in a folder": ("train", r"encoder/model\.bin changed \(sha256 \w{8}… → \w{8}…\)"),
    "cut weights": ("train", r"averaged\.safetensors is not as train left it \(\d+ → 10 bytes\)"),
    "hypotheses that are gone": ("infer", r"exp/toy/greedy/unseen/hyp\.scp is missing"),
    "the model's code": ("train", r"src\.model\.Net changed"),
    "a word of the training's corpus": ("train", "runs if other files come out of create_dataset, collect_stats"),
}


@pytest.mark.parametrize("case", REASONS)
def test_the_plan_says_because_of_what(finished: Recipe, case: str) -> None:
    CHANGES[case][0](finished)
    stage, reason = REASONS[case]
    (line,) = [line for line in finished.run_alone("--dry_run").stdout.splitlines() if line.startswith(f"{stage}: ")]
    assert re.search(reason, line)


def test_experiments_with_other_features_share_a_folder_and_redo_nothing(finished: Recipe) -> None:
    assert json.loads(next((finished.folder / "data/stats/.done").iterdir()).read_text())["outputs"]
    for n_mels, stages in ((40, REST), (80, ["train", "infer", "measure"]), (40, ["train", "infer", "measure"])):
        text = (finished.folder / "conf/training.yaml").read_text()
        finished.write("conf/training.yaml", re.sub(r"n_mels: \d+", f"n_mels: {n_mels}", text))
        assert re.findall(r"DONE (\w+)", finished.run_alone().stdout) == stages
    assert (
        len([path for path in (finished.folder / "data/stats").iterdir() if path.is_dir() and path.name[0] != "."]) == 2
    )

"""espnet3.load and `python -m espnet3.transcribe`: from a folder and a Hub, with and without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import espnet3
from espnet3.errors import ConfigError, DataError
from espnet3.packs.meta import write_sums
from espnet3.publishing.upload import upload
from espnet3.systems.asr.system import ASRSystem
from espnet3.systems.base.publication_config import Upload
from espnet3.transcribe import main
from tests.hub.server import HubServer
from tests.packs.experiment import tree

Experiment = tuple[Path, ASRSystem]
BLOCK_TORCH = "import sys; sys.modules['torch'] = None; "


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        pytest.param({"model": "no/such/folder"}, DataError, "is not a folder of a packed model", id="no folder"),
        pytest.param({"model": "data"}, DataError, "it has no meta.json", id="no pack"),
        pytest.param({"backend": "tpu"}, ConfigError, "'tpu' is none of auto, torch, onnx", id="backend"),
        pytest.param({"backend": "torch", "device": "warp"}, DataError, "'warp', which is not to be had", id="device"),
    ],
)
def test_wrong_arguments_are_refused(
    experiment: Experiment, arguments: dict[str, str], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        espnet3.load(**{"model": "exp/pack", **arguments})  # type: ignore[arg-type]


@pytest.fixture
def own_code(pack: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pack whose model is of its recipe's own code, on a machine that keeps bytecode, as most do."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    (pack / "src").mkdir()
    (pack / "src/__init__.py").touch()
    own = "from espnet3.systems.asr.models.bilstm import BiLSTMCTC\n\nclass Own(BiLSTMCTC):\n    pass\n"
    (pack / "src/model.py").write_text(own)
    config = yaml.safe_load((pack / "inference.yaml").read_text())
    config["model"]["_target_"] = "src.model.Own"
    (pack / "inference.yaml").write_text(yaml.safe_dump(config))
    meta = json.loads((pack / "meta.json").read_text())
    (pack / "meta.json").write_text(json.dumps({**meta, "code": ["src/model.py"]}))
    write_sums(pack)
    return pack


def test_a_recipes_own_code_runs_only_where_it_is_trusted(experiment: Experiment, own_code: Path) -> None:
    expected = espnet3.load("exp/pack", device="cpu")("data/a0.wav")
    with pytest.raises(DataError, match="trust_code=True"):
        espnet3.load(own_code)
    before = tree(own_code)
    assert espnet3.load(own_code, device="cpu", trust_code=True)("data/a0.wav") == expected
    assert "src.model" not in sys.modules
    assert tree(own_code) == before


HIDDEN_CODE = ["src/extra.py", "numpy.py", "src.py", "src/model.pyc", "src/model.so", "src/__pycache__/model.pyc"]


@pytest.mark.parametrize("listed", [False, True], ids=["beside", "with a sha256"])
@pytest.mark.parametrize("name", [*HIDDEN_CODE, "src/decoder/__init__.py"])
def test_code_that_nobody_was_shown_is_refused(
    own_code: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, listed: bool
) -> None:
    (own_code / name).parent.mkdir(exist_ok=True)
    (own_code / name).write_text("import os\nos.mkdir('harmed')\n")
    if listed:
        write_sums(own_code)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"could run .*\(src/model\.py\)\. Remove it") as refusal:
        espnet3.load(own_code, device="cpu", trust_code=True)
    assert str(own_code / name).startswith(str(refusal.value).split(" could run")[0])
    assert not Path("harmed").exists()


def test_code_that_is_shown_but_has_no_sha256_is_refused(own_code: Path) -> None:
    sums = (own_code / "SHA256SUMS").read_text().splitlines(keepends=True)
    (own_code / "SHA256SUMS").write_text("".join(line for line in sums if not line.endswith("src/model.py\n")))
    with pytest.raises(DataError, match=r"src/model\.py could run"):
        espnet3.load(own_code, device="cpu", trust_code=True)


def test_code_outside_of_src_is_refused_although_it_is_shown(own_code: Path) -> None:
    (own_code / "numpy.py").touch()
    meta = json.loads((own_code / "meta.json").read_text())
    (own_code / "meta.json").write_text(json.dumps({**meta, "code": ["src/model.py", "numpy.py"]}))
    write_sums(own_code)
    with pytest.raises(DataError, match=r"numpy\.py could run"):
        espnet3.load(own_code, device="cpu", trust_code=True)


def test_a_folder_of_code_elsewhere_is_refused(own_code: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (own_code / "src/more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="src/more could run"):
        espnet3.load(own_code, device="cpu", trust_code=True)


def test_without_torch_the_onnx_model_is_taken(experiment: Experiment) -> None:
    code = (
        f"{BLOCK_TORCH}import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "import espnet3; model = espnet3.load('exp/pack'); print(model('data/a0.wav'))\n"
        "assert type(model.recogniser).__name__ == 'OnnxRecogniser'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip("\n") == espnet3.load("exp/pack", backend="onnx")("data/a0.wav")


@pytest.mark.parametrize("backend", ["torch", "onnx", "onnx-int8"])
def test_the_command_prints_a_line_for_each_file(
    experiment: Experiment, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    assert main(["exp/pack", "data/a0.wav", "data/a1.wav", "--backend", backend]) == 0
    model = espnet3.load("exp/pack", backend=backend)
    expected = [f"{file}\t{model(file)}" for file in ("data/a0.wav", "data/a1.wav")]
    assert capsys.readouterr().out.splitlines() == expected


def test_the_command_prints_json(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exp/pack", "data/a0.wav", "--json"]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["file"] == "data/a0.wav"
    assert {"text", "score", "seconds", "tokens"} <= line.keys()


def test_the_command_ends_with_the_errors_exit_code(experiment: Experiment, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exp/pack", "missing.wav"]) == DataError.exit_code
    assert capsys.readouterr().err == "error: missing.wav does not exist.\n"


def test_a_model_of_the_hub_is_loaded_whatever_else_its_repository_holds(
    hub: HubServer, experiment: Experiment, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old/pytorch_model.bin").write_bytes(b"a pickle of long ago")
    for folder in (tmp_path / "old", Path("exp/pack")):
        upload(folder, Upload(repo="me/model", endpoint=hub.address), "model", "publication_config.upload_model")
    asked: set[str] = set()
    for backend, files in (("torch", set()), ("onnx-int8", {"model.int8.onnx"}), ("onnx", {"model.onnx"})):
        there, here = (espnet3.load(model, backend=backend) for model in ("me/model", "exp/pack"))
        assert there("data/a0.wav") == here("data/a0.wav")
        before, asked = asked, {each.path.rpartition("/")[2] for each in hub.asked("GET", "/resolve/")}
        assert {name for name in asked - before if name.endswith(".onnx")} == files
    assert "pytorch_model.bin" not in asked


def test_a_backend_that_the_task_does_not_have_is_refused_before_its_model_is_loaded(
    hub: HubServer, experiment: Experiment
) -> None:
    upload(Path("exp/pack"), Upload(repo="me/model", endpoint=hub.address), "model", "publication_config.upload_model")
    with pytest.raises(ConfigError, match="'tpu' is none of auto, torch, onnx, onnx-int8"):
        espnet3.load("me/model", backend="tpu")
    asked = {each.path.rpartition("/")[2] for each in hub.asked("GET", "/resolve/")}
    assert asked == {"meta.json", "SHA256SUMS"}

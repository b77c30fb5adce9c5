"""pack_model: what is in a pack, that it is the same every time, and what it refuses to hand over."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from espnet3.components.data.scp import read_scp
from espnet3.errors import ConfigError, DataError
from espnet3.packs.loading import load
from espnet3.packs.pack import read_pack
from espnet3.systems.asr.system import ASRSystem
from tests.packs.experiment import tree, with_pack

Experiment = tuple[Path, ASRSystem]
PACK = Path("exp/pack")
ROOT = Path(__file__).parents[3]


def test_a_pack_holds_what_is_allowed_and_no_more(experiment: Experiment) -> None:
    with_pack(experiment[1]).pack_model()
    assert sorted(tree(PACK)) == [
        "README.md",
        "SHA256SUMS",
        "auxiliary_tokenizer/words.dic",
        "feats_stats.json",
        "inference.yaml",
        "meta.json",
        "metrics.json",
        "model.safetensors",
        "tokenizer/characters.json",
    ]
    assert subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=PACK, check=False).returncode == 0
    meta = json.loads((PACK / "meta.json").read_text())
    assert meta["schema_version"] == 1
    assert meta["system"] == "espnet3.systems.asr.system.ASRSystem"
    assert meta["sample_rate"] == 8000
    assert meta["parameters"] > 1000
    assert meta["example"]["utterance"] == "u0"
    assert re.fullmatch(r"[0-9a-f]{64}", meta["config_sha256"])


def test_the_same_experiment_gives_the_same_bytes(experiment: Experiment) -> None:
    system = with_pack(experiment[1], onnx={"export": True, "int8": True})
    system.pack_model()
    before = tree(PACK)
    system.pack_model()
    assert tree(PACK) == before
    assert not list(Path("exp").glob(".*.tmp"))


def test_the_pack_recognises_what_infer_did(experiment: Experiment) -> None:
    hypotheses = read_scp(Path("exp/greedy/test/hyp.scp"))
    model = load(PACK, device="cpu")
    assert model([f"data/a{number}.wav" for number in range(3)]) == list(hypotheses.values())


PRIVATE = [
    pytest.param(
        {"description": "see /home/anna/exp"}, r"README.md:\d+: '/home/anna/exp' is an absolute path", id="path"
    ),
    pytest.param({"data": "from C:\\data"}, "is an absolute path", id="windows path"),
    pytest.param({"data": "on gpu07.cluster.local"}, "'gpu07.cluster.local' is the name of a machine", id="host"),
    pytest.param({"data": "from 192.168.3.4"}, "'192.168.3.4' is the address of a machine", id="address"),
    pytest.param({"limits": "hf_" + "a" * 30}, "a text looks like an access token", id="token"),
    pytest.param({"data": "https://anna:pass@example.org"}, "password in an address", id="password"),
    pytest.param({"data": "x correct-horse-battery y"}, "a text is a secret of the environment", id="environment"),
    pytest.param({"data": "-----BEGIN RSA PRIVATE KEY-----"}, "is a private key", id="key"),
]


@pytest.mark.parametrize(("settings", "message"), PRIVATE)
def test_what_is_private_is_refused_and_the_earlier_pack_kept(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], message: str
) -> None:
    monkeypatch.setenv("MY_SECRET", "correct-horse-battery")
    before = tree(PACK)
    with pytest.raises(ConfigError, match=message) as refusal:
        with_pack(experiment[1], **settings).pack_model()
    assert "correct-horse" not in str(refusal.value)
    assert "aaaaaaa" not in str(refusal.value)
    assert tree(PACK) == before


def test_a_path_of_this_machine_in_a_copied_file_is_refused(experiment: Experiment) -> None:
    Path("data/words.dic").write_text(";;; from /srv/speech/words\nab AA B\nba B AA\n")
    with pytest.raises(ConfigError, match=r"auxiliary_tokenizer/words.dic:1: '/srv/speech/words' is an absolute path"):
        with_pack(experiment[1]).pack_model()


def test_a_folder_of_something_else_is_not_replaced(experiment: Experiment) -> None:
    Path("notes").mkdir()
    Path("notes/mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="notes holds files that are no pack"):
        with_pack(experiment[1], pack_dir="notes").pack_model()
    assert Path("notes/mine.txt").read_text() == "mine"


def test_a_folder_that_a_killed_run_was_about_to_claim_is_replaced(experiment: Experiment) -> None:
    Path("claimed").mkdir()
    Path("claimed/..lease.7.0123abcd.tmp").write_text("vm pid 7 0123")
    with_pack(experiment[1], pack_dir="claimed").pack_model()
    read_pack(Path("claimed"))
    assert not [name for name in tree(Path("claimed")) if name.endswith(".tmp")]


def test_without_a_trained_model_there_is_nothing_to_pack(experiment: Experiment) -> None:
    Path("exp/averaged.safetensors").unlink()
    with pytest.raises(DataError, match=r"averaged.safetensors does not exist.*Run train"):
        with_pack(experiment[1]).pack_model()


def test_a_missing_licence_file_is_named(experiment: Experiment) -> None:
    with pytest.raises(ConfigError, match=r"LICENCE\.txt does not exist"):
        with_pack(experiment[1], licence_file="LICENCE.txt").pack_model()


def test_without_scores_there_are_no_results(experiment: Experiment) -> None:
    Path("exp/greedy/metrics.json").unlink()
    with_pack(experiment[1]).pack_model()
    assert "## Results" not in (PACK / "README.md").read_text()


def test_without_its_data_a_model_is_packed_untried(experiment: Experiment) -> None:
    Path("data/test.jsonl").unlink()
    with_pack(experiment[1]).pack_model()
    assert "example" not in json.loads((PACK / "meta.json").read_text())

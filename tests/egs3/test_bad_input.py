"""What is wrong with a config, a command or the data is told in full, with its exit status, and nothing is lost.

Disturbances of another kind (a full disk, a killed stage, a second process) are in test_digits_run.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from tests.egs3.digits_run import Digits
from tests.trees import differences

After = Callable[[str], Digits]

FAULTS = {
    "malformed YAML": ("model: [", r"conf/wrong\.yaml:\d+:\d+: .*"),
    "unknown key of a section": ("trainer: {max_epoch: 3}", r"trainer\.max_epoch\b.*did you mean max_epochs\?"),
    "near miss": ("optimzer: {lr: 1}", r"conf/wrong\.yaml:2: training_config\.optimzer.*did you mean optimizer\?"),
    "missing key": ("defaults: []\nexp_dir: exp/new\ndata_dir: data", r"training_config\.model is missing\."),
    "key that is not handed down": (
        "exp_dir: null",
        r"inference_dir: .*'exp_dir' not found, nor does training_config hand it down",
    ),
    "no value yet": ("hub:\n  name: ???", r"training_config\.hub\.name: is \?\?\?"),
    "wrong type": ("dataloader: {batch_seconds: many}", r"training_config\.dataloader\.batch_seconds.*'many'"),
    "class that is not there": ("model: {_target_: espnet3.systems.asr.models.bilstm.BiLSTMCT}", r"BiLSTMCT\b"),
    "package that is not there": ("model: {_target_: nowhere.Model}", r"model\._target_.*nowhere"),
    "argument that is not there": (
        "model: {hidden_siz: 3}",
        r"wrong\.yaml:2: .*model\.hidden_siz: .* did you mean hidden_size\?",
    ),
    "interpolation": ("exp_dir: exp/${exp_tga}", r"training_config\.exp_dir.*exp_tga"),
    "defaults": ("defaults: [tinny, _self_]", r"tinny"),
    "placeholder": ("data_dir: /path/to/data", r"training_config\.data_dir.*/path/to/data is a placeholder"),
    "file in the place of a directory": ("exp_dir: run.py", r"run\.py is a file"),
    "recipe that is not there": ("recipe_dir: nowhere", r"training_config\.recipe_dir.*nowhere is not a folder"),
    "secret": ("hub: {access_token: hunter22}", r"training_config\.hub\.access_token: is a secret"),
}


@pytest.mark.parametrize(("line", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_config_is_refused_before_anything_starts(after: After, line: str, expected: str) -> None:
    recipe = after("")
    head = "" if line.startswith("defaults") else "defaults: [tiny, _self_]\n"
    recipe.write("conf/wrong.yaml", f"{head}{line}\n")
    before = recipe.files()
    refused = recipe.run("--training_config", "conf/wrong.yaml")
    assert refused.returncode == 78, refused.stdout + refused.stderr
    assert refused.stderr.startswith("error: ")
    assert re.search(expected, refused.stderr), refused.stderr
    assert "Traceback" not in refused.stderr
    assert "hunter22" not in refused.stdout + refused.stderr
    assert recipe.files() == before


NOISY = """\
defaults: [tiny, _self_]
augment:
  - {_target_: espnet3.components.data.augment.AddNoise, files: [noise/gone.wav], sample_rate: 8000}
"""


@pytest.mark.parametrize(
    ("flags", "code", "expected"),
    [
        (["--stages", "trian"], 78, "unknown stage 'trian': did you mean train? stages: create_dataset, "),
        (["--metrics_config", "gone.yaml"], 78, "gone.yaml does not exist"),
        (["--stages", "measure"], 66, "measure: needs exp/tiny/greedy, which does not exist; run infer first"),
        (["--stages", "train"], 66, "/train/feats_stats.npz, which does not exist; run collect_stats first"),
        (
            ["--training_config", "conf/noisy.yaml"],
            66,
            "train: needs noise/gone.wav, which does not exist; correct the",
        ),
    ],
    ids=["unknown stage", "missing config", "measure without infer", "train without data", "noise that is not there"],
)
def test_a_faulty_command_is_refused(after: After, flags: list[str], code: int, expected: str) -> None:
    recipe = after("")
    recipe.write("conf/noisy.yaml", NOISY)
    refused = recipe.run(*flags)
    assert refused.returncode == code
    assert expected in refused.stderr
    assert not (recipe.folder / "data").exists()


def test_a_missing_slot_is_told_with_its_flag(after: After) -> None:
    recipe = after("")
    (recipe.folder / "conf/metrics.yaml").unlink()
    before = recipe.files()
    refused = recipe.run()
    assert refused.returncode == 78
    assert recipe.files() == before
    assert "measure: needs metrics_config: write conf/metrics.yaml or give --metrics_config FILE" in refused.stderr


@pytest.mark.parametrize(
    "line",
    ["hub: {access_token: hunter22}", "note: ${oc.env:MY_PASSWORD}", "corpus: https://me:hunter22@example.org/an4"],
    ids=["by its name", "by its value", "in an address"],
)
def test_a_secret_is_not_printed(after: After, line: str) -> None:
    recipe = after("")
    recipe.write("conf/wrong.yaml", f"defaults: [tiny, _self_]\n{line}\n")
    refused = recipe.run("--print_config", "--training_config", "conf/wrong.yaml", MY_PASSWORD="hunter22")
    assert refused.returncode == 78
    assert re.search(r"conf/wrong\.yaml:2: training_config\.\S+: .*is a secret", refused.stderr)
    assert "hunter22" not in refused.stdout + refused.stderr
    assert refused.stdout == ""


Record = dict[str, Any]
DATA_FAULTS: dict[str, tuple[Record | str, str]] = {
    "missing audio": ({"audio": "audio/gone.flac"}, r"data/audio/gone\.flac does not exist\."),
    "empty audio": ({"audio": "audio/empty.flac"}, r"data/audio/empty\.flac is empty\."),
    "truncated audio": (
        {"audio": "audio/cut.flac"},
        r"data/audio/cut\.flac is cut short: its header promises 48\.235 s",
    ),
    "truncated WAV": ({"audio": "audio/cut.wav"}, r"data/audio/cut\.wav is cut short"),
    "unreadable audio": ({"audio": "audio/page.flac"}, r"data/audio/page\.flac is not readable audio"),
    "zero duration": ({"duration": 0}, r"duration is 0 s; it must be from 0\.01 to 3600\."),
    "absurd duration": ({"duration": 4500.0}, r"duration is 4500 s; it must be from 0\.01 to 3600\."),
    "duplicate id": ({"utt_id": "same"}, r"utt_id 'same' is on line 1 too\."),
    "empty text": ({"text": ""}, r"text is empty\."),
    "malformed line": ("{", "is malformed JSON: "),
}


def change_manifest(recipe: Digits, name: str, change: Callable[[list[Record]], list[Record | str]]) -> None:
    """Edit a manifest by hand, as after create_dataset has finished, and have create_dataset look at it again."""
    path = recipe.folder / "data" / name
    records = change([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
    lines = (line if isinstance(line, str) else json.dumps(line) for line in records)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    (recipe.folder / "data/.done/create_dataset.json").unlink()


def write_bad_audio(folder: Path) -> None:
    """Files as broken downloads leave them."""
    sound = next(path for path in sorted(folder.iterdir()) if path.stat().st_size > 20_000)
    samples, rate = soundfile.read(sound)
    soundfile.write(folder / "cut.wav", samples, rate)
    for name, content in (("cut.flac", sound.read_bytes()), ("cut.wav", (folder / "cut.wav").read_bytes())):
        (folder / name).write_bytes(content[: len(content) // 2])
    (folder / "empty.flac").touch()
    (folder / "page.flac").write_text("<html>Not found</html>")


def test_every_fault_of_the_data_is_told_at_once_and_nothing_is_changed(after: After) -> None:
    recipe = after("create_dataset")
    write_bad_audio(recipe.folder / "data/audio")

    def spoil(records: list[Record]) -> list[Record | str]:
        changes = [change for change, _ in DATA_FAULTS.values()]
        spoilt = [
            change if isinstance(change, str) else record | change
            for record, change in zip(records[1:], changes, strict=False)
        ]
        return [records[0] | {"utt_id": "same"}, *spoilt]

    change_manifest(recipe, "valid.jsonl", spoil)
    before = recipe.products()

    refused = recipe.run("--stages", "create_dataset")

    assert refused.returncode == 66
    assert f"The data has {len(DATA_FAULTS)} problems:" in refused.stderr
    for line, (_, message) in enumerate(DATA_FAULTS.values(), start=2):
        assert re.search(rf"data/valid\.jsonl:{line}: .*{message}", refused.stderr), refused.stderr
    assert "Traceback" not in refused.stderr
    assert differences(recipe.products(), before) == []


def test_what_train_and_test_share_is_warned_of(after: After) -> None:
    recipe = after("create_dataset")
    heard = json.loads((recipe.folder / "data/valid.jsonl").read_text(encoding="utf-8").splitlines()[0])
    shared = {key: heard[key] for key in ("speaker", "text")}
    change_manifest(recipe, "test.jsonl", lambda records: [records[0] | shared, *records[1:]])

    done = recipe.run("--stages", "create_dataset")

    assert done.returncode == 0, done.stderr
    for what in ("1 speaker.", "1 text (1 of 150 utterances)."):
        assert f"data/test.jsonl: train and test set unseen share {what}" in done.stdout


def test_characters_that_the_tokenizer_lacks_are_warned_of(after: After) -> None:
    recipe = after("create_dataset")
    change_manifest(recipe, "test.jsonl", lambda records: [records[0] | {"text": "zérö"}, *records[1:]])
    for stage in ("create_dataset", "train_tokenizer"):
        done = recipe.run("--stages", stage)
        assert done.returncode == 0, done.stderr
    assert re.search(
        r"WARNING .*unseen: 1 of 150 texts have characters that the training transcripts lack: 'é' 'ö'", done.stdout
    )

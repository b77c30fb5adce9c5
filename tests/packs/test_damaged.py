"""Packs that are damaged or made to do harm: each is refused before it acts, with a message that says why."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import espnet3
from espnet3.errors import DataError
from espnet3.packs.meta import write_sums
from tests.packs.experiment import tree

Damage = Callable[[Path], None]


class Harm:
    """Unpickling it makes a file."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harmed",)


def edit(name: str, change: Callable[[bytes], bytes]) -> Damage:
    """Change a file, and leave its sha256 as it was."""

    def damage(pack: Path) -> None:
        path = pack / name
        path.write_bytes(change(path.read_bytes()))

    return damage


def forged(damage: Damage) -> Damage:
    """The same with a sha256 that fits: what somebody would do who means harm."""

    def forge(pack: Path) -> None:
        damage(pack)
        write_sums(pack)

    return forge


def put(name: str, content: bytes) -> Damage:
    def damage(pack: Path) -> None:
        (pack / name).parent.mkdir(exist_ok=True)
        (pack / name).write_bytes(content)

    return damage


def without(name: str) -> Damage:
    return lambda pack: (pack / name).unlink()


def meta(**values: Any) -> Damage:
    """Other values in meta.json; None takes a key out."""

    def change(content: bytes) -> bytes:
        kept = {key: value for key, value in (json.loads(content) | values).items() if value is not None}
        return json.dumps(kept).encode()

    return forged(edit("meta.json", change))


def config(place: str, value: Any) -> Damage:
    """Another value at a dotted place of inference.yaml."""

    def change(content: bytes) -> bytes:
        whole = yaml.safe_load(content)
        node = whole
        *parents, last = place.split(".")
        for parent in parents:
            node = node[parent]
        node[last] = value
        return yaml.safe_dump(whole).encode()

    return forged(edit("inference.yaml", change))


def sums(change: Callable[[str], str]) -> Damage:
    return edit("SHA256SUMS", lambda content: change(content.decode()).encode())


def link_out(pack: Path) -> None:
    outside = pack.parent / "outside.json"
    (pack / "tokenizer/characters.json").rename(outside)
    (pack / "tokenizer/characters.json").symlink_to(outside)


def header(length: int, start: bytes = b"{") -> Callable[[bytes], bytes]:
    """A safetensors file that promises a header of so many bytes."""
    return lambda content: struct.pack("<Q", length) + start + content[9:]


FOREIGN = {"_target_": "os.system", "command": "mkdir harmed"}
WRITER = {"_target_": "espnet3.runtime.files.write_text", "path": "harmed", "text": "x"}
W, C, S, M = "model.safetensors", "inference.yaml", "SHA256SUMS", "meta.json"

GROWING = b"a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (level + 1, level + 1, b", ".join([b"*a%d" % level] * 10)) for level in range(8)
)
"""As little as it is, written out it has ten thousand million values."""

DAMAGES = [
    ("weights cut", edit(W, lambda content: content[:-1]), r"model\.safetensors is damaged: its sha256"),
    ("weights empty", edit(W, lambda content: b""), r"model\.safetensors is damaged: its sha256"),
    ("weights flipped", edit(W, lambda c: c[:999] + bytes([c[999] ^ 1]) + c[1000:]), r"model\.safetensors is damaged"),
    ("config flipped", edit(C, lambda content: content.replace(b"20", b"21")), r"inference\.yaml is damaged: its sha"),
    ("tokenizer changed", edit("tokenizer/characters.json", lambda c: c + b" "), r"characters\.json is damaged"),
    ("weights missing", without(W), r"model\.safetensors is missing.*incomplete"),
    ("config missing", without(C), r"inference\.yaml is missing.*incomplete"),
    ("tokenizer missing", without("tokenizer/characters.json"), r"characters\.json is missing"),
    ("meta missing", without(M), r"is not a packed model: it has no meta\.json"),
    ("sums missing", without(S), r"SHA256SUMS is missing"),
    ("sums cut", sums(lambda text: text[:-20]), r"SHA256SUMS is cut short"),
    ("sums without weights", sums(lambda text: "\n".join(text.splitlines()[:1]) + "\n"), "does not list"),
    ("sums twice", sums(lambda text: text + text), r"SHA256SUMS:\d+ is damaged"),
    ("meta no json", forged(edit(M, lambda content: content[:50])), r"meta\.json is damaged: it is not valid JSON"),
    ("meta no text", forged(edit(M, lambda content: b"\xff\xfe" + content)), r"meta\.json is damaged: it is not UTF-8"),
    ("meta too large", forged(edit(M, lambda content: content + b" " * (1 << 20))), r"meta\.json is larger than"),
    ("another kind", meta(kind="picture"), "its kind is not espnet3-model"),
    ("another task", meta(task="mind-reading"), r"meta\.json: task is 'mind-reading', and espnet3 .* reads packs of"),
    ("a module as task", meta(task="espnet3.runtime.files"), "task is 'espnet3.runtime.files', and espnet3"),
    ("newer", meta(schema_version=99, espnet3="9.1.0"), r"version 99, written by espnet3 9\.1\.0.*Install a newer"),
    ("wrong version", meta(schema_version="one"), "schema_version is 'one'"),
    ("version 0", meta(schema_version=0), "schema_version is 0"),
    ("no sample rate", meta(sample_rate=None), "sample_rate: Field required"),
    ("escaping name", sums(lambda text: text + "0" * 64 + "  ../outside.json\n"), r"'\.\./outside\.json' leads out"),
    ("absolute name", sums(lambda text: text + "0" * 64 + "  /etc/passwd\n"), "'/etc/passwd' leads out"),
    ("link out", link_out, "is a link that leads out of the pack"),
    ("path in config", config("tokenizer.path", "/etc/passwd"), "leads out of the pack|is not a file of the pack"),
    ("escape in config", config("tokenizer.path", "../secret.json"), "leads out of the pack|is not a file of the pack"),
    ("file not listed", config("tokenizer.path", "other.json"), "'other.json', which is not a file of the pack"),
    ("interpolation", config("model.note", "${oc.env:HOME}"), "no interpolations"),
    ("pickle beside", put("extra.pkl", pickle.dumps(Harm())), "holds a pickle"),
    ("pickle as weights", forged(put(W, pickle.dumps(Harm()))), "holds a pickle"),
    ("pickle as tokenizer", forged(put("tokenizer/characters.json", pickle.dumps(Harm()))), "holds a pickle"),
    ("checkpoint inside", forged(put("checkpoints/last.ckpt", b"x")), "holds a pickle"),
    ("oversized header", forged(edit(W, header(1 << 60))), "its header would have 1152921504606846976 bytes"),
    ("long header", forged(edit(W, header(1 << 20))), "its header would have 1048576 bytes"),
    ("header no json", forged(edit(W, header(40, b"?"))), "its header is not valid JSON"),
    ("foreign target", config("features", FOREIGN), r"features\._target_ is 'os\.system', which a pack may not build"),
    ("our writer", config("features", WRITER), "which a pack may not build"),
    ("foreign inside", config("recogniser.decoder", {**FOREIGN}), r"recogniser\.decoder\._target_ is 'os\.system'"),
    ("hidden arguments", config("features._args_", ["x"]), r"features\._args_ is a key that no pack has"),
    ("recipe code", config("model._target_", "src.model.Model"), r"'src\.model\.Model', which a pack may not build"),
    ("code not trusted", meta(code=["src/model.py"]), r"src/model\.py.*trust_code=True"),
    ("section missing", config("features", None), "should have the sections"),
    ("config no yaml", forged(put(C, b"a: [")), "it is not plain YAML"),
    ("config of objects", forged(put(C, b"a: !!python/object/apply:os.mkdir [harmed]")), "it is not plain YAML"),
    ("config in circles", forged(put(C, b"features: &a {b: *a}")), r"not plain YAML \(line 1 has the alias \*a"),
    ("config that grows", forged(put(C, GROWING)), r"not plain YAML \(line 2 has the alias \*a0"),
    ("config of merged keys", forged(put(C, b"a: &a {b: c}\nd:\n  <<: *a\n")), r"line 3 has the alias \*a"),
    ("config of a long number", forged(put(C, b"features: 1" + b":1" * 400_000)), "a number of 800001 characters"),
    ("config of no truth", forged(put(C, b"features: !!bool maybe")), "it is not plain YAML"),
    ("config of no time", forged(put(C, b"features: !!timestamp never")), "it is not plain YAML"),
    ("deep config", config("model.deep", eval("[" * 30 + "]" * 30)), "nested deeper"),
    ("another model's weights", config("model.hidden_size", 24), "cannot be built.*another model"),
    ("unknown argument", config("model.hiden_size", 16), "cannot be built"),
    ("tokenizer of another kind", forged(put("tokenizer/characters.json", b"[]")), "cannot be built.*not a character"),
]


@pytest.mark.parametrize(
    ("damage", "message"), [case[1:] for case in DAMAGES], ids=[case[0].replace(" ", "-") for case in DAMAGES]
)
def test_a_damaged_pack_is_refused(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Damage, message: str
) -> None:
    damage(pack)
    before = tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=rf"(?s){message}") as refusal:
        espnet3.load(pack, device="cpu")
    assert "Run train" not in str(refusal.value)
    assert tree(tmp_path) == before
    assert not Path("harmed").exists()


ONNX_DAMAGES = [
    ("cut", edit("model.onnx", lambda content: content[:-9]), r"model\.onnx is damaged: its sha256"),
    ("no onnx", forged(put("model.onnx", b"nothing")), "is not an ONNX model that can be run"),
    ("missing", without("model.onnx"), r"has no model\.onnx"),
]


@pytest.mark.parametrize(("damage", "message"), [case[1:] for case in ONNX_DAMAGES], ids=[c[0] for c in ONNX_DAMAGES])
def test_a_damaged_onnx_model_is_refused(pack: Path, damage: Damage, message: str) -> None:
    damage(pack)
    with pytest.raises(DataError, match=message):
        espnet3.load(pack, backend="onnx")


def test_a_pack_without_its_onnx_models_is_whole_for_torch(pack: Path) -> None:
    for path in pack.glob("*.onnx"):
        path.unlink()
    espnet3.load(pack, backend="torch", device="cpu")


def test_a_card_edited_on_the_hub_does_no_harm(pack: Path) -> None:
    (pack / "README.md").write_text("Edited.")
    (pack / ".gitattributes").write_text("*.onnx filter=lfs")
    espnet3.load(pack, backend="torch", device="cpu")

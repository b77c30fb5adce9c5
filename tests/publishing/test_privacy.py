"""What is private is found in whatever file it hides, and what every model card, licence or program says is not."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from espnet3.errors import ConfigError
from espnet3.publishing.privacy import refuse_private

PATH, TOKEN = "is an absolute path", "a text looks like an access token"
LETTERS = "aB3dE6gH9jK2mN5pQ8sT1vW4"
PRIVATE = [
    ("see /home/anna/exp", f"'/home/anna/exp' {PATH}"),
    ("see /home/anna.", PATH),
    ("as /root or", f"'/root' {PATH}"),
    ("cd /root", PATH),
    ("/srv/", PATH),
    ("under /data/", PATH),
    ("/dev/shm/anna", PATH),
    ("#!/home/anna/bin/python", PATH),
    ("file:///home/anna/exp", f"'file:///home/anna/exp' {PATH}"),
    ("file:/srv/x", PATH),
    ("gpu07:/srv/data/foo", f"'/srv/data/foo' {PATH}"),
    ("nas:/volume1/speech", PATH),
    ("path:/home/anna/x", PATH),
    ("C:/Users/anna", PATH),
    ("-I/home/anna", PATH),
    ("gcc -L/opt/mkl/lib", PATH),
    ("-v/home/anna:/x", PATH),
    ("--prefix=/home/anna", PATH),
    ("</home/anna/x>", PATH),
    ("**/home/anna/x**", PATH),
    ("log >/home/anna/log", PATH),
    (r'{"path": "\/home\/anna"}', f"'/home/anna' {PATH}"),
    ("in ~/exp/x", f"'~/exp' {PATH}"),
    ("in ~anna/exp/x", PATH),
    ("speech:~/exp", PATH),
    ("from C:\\data", PATH),
    ("https://example.org/?file=/home/anna/x", PATH),
    ("hf_" + LETTERS, TOKEN),
    ("ghp_" + LETTERS, TOKEN),
    ("github_pat_11ABC_" + LETTERS, TOKEN),
    ("AKIA" + "ABCD" * 4, TOKEN),
    ("ASIA" + "ABCD" * 4, TOKEN),
    ("sk-" + LETTERS * 2, TOKEN),
    ("key=sk-proj-x_" + LETTERS, TOKEN),
    ("sk-ant-api03-" + LETTERS, TOKEN),
    ("xoxb-123456789012-" + LETTERS, TOKEN),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfi", "a text is what AWS_SECRET_ACCESS_KEY is set to"),
    ('"WANDB_API_KEY": "' + LETTERS + '"', "is what WANDB_API_KEY is set to"),
    ("export DB_PASSWORD='correcthorse'", "is what DB_PASSWORD is set to"),
    ("DB_PASSWORD=myhorse99", "is what DB_PASSWORD is set to"),
    ("CI_JOB_TOKEN: abcdefghij", "is what CI_JOB_TOKEN is set to"),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG", "is what aws_secret_access_key is set to"),
    ("client_secret: 8f3e0c1b7a", "is what client_secret is set to"),
    ("on gpu07.cluster.local", "'gpu07.cluster.local' is the name of a machine"),
    ("on gpu07.cluster.local.", "is the name of a machine"),
    ("from 192.168.3.4", "'192.168.3.4' is the address of a machine"),
    ("https://anna:pass@example.org", "a text is a password in an address"),
]


@pytest.mark.parametrize(("text", "message"), PRIVATE)
def test_what_is_private_is_found(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.txt").write_text(f"first line\n{text}\n")
    with pytest.raises(ConfigError) as refusal:
        refuse_private(tmp_path)
    assert "a.txt:2: " in str(refusal.value)
    assert message in str(refusal.value)
    for secret in (LETTERS, "correcthorse", "myhorse99", "wJalrXUtnFEMI", "8f3e0c1b7a", "ABCDABCD"):
        assert secret not in str(refusal.value)


HARMLESS = [
    "https://huggingface.co/docs/hub/model-cards and http://www.apache.org/licenses/LICENSE-2.0",
    "https://example.org:8080/home/anna, ftp://ftp.example.org/scratch/x, https://example.org/~anna/papers/",
    r'{"url": "https:\/\/huggingface.co\/docs\/hub"}',
    "[the card](https://huggingface.co/owner/name/blob/main/README.md#use)",
    "1/2 of it, and/or all of it, input/output/both, 24/7, w/o noise, km/h, ~3/4, 2024/05/31, 31/5/2024",
    "exp/greedy/test/hyp.scp, ./conf/train.yaml, ../data/x, src/model.py, a/b/c, <exp_dir>/train/log, **/cache/x",
    "the phonemes /p/, /b/ and /tʃ/ are confused (/s/ less)",
    "<b>bold</b></details></td></tr><br/>",
    "models are kept in ~/.cache/huggingface",
    "#!/usr/bin/env python3",
    "2> /dev/null",
    "Licensed under the Apache License, Version 2.0 (Apache-2.0), or CC-BY-4.0, © 2024. “As is”.",
    "the hub's token (`HF_TOKEN`) is needed: HF_TOKEN=hf_... or HF_TOKEN=<your token>, API_KEY=your_api_key",
    'export HF_TOKEN="$(cat token)"; TOKEN=$HF_TOKEN',
    'HF_TOKEN = os.environ["HF_TOKEN"]; password = getpass.getpass("Password: ")',
    "blank_token: 01234567, BLANK_TOKEN = 'blank_symbol_0', token_type: character1, num_tokens: 12345678",
    'tokens = tokenizer2.encode(text); "tokens": "▁a ▁b"; sort_key: duration1_seconds',
    "sk-learn, task-specific-model-2024-of-many-parts, sk-SK, sk-cs-parallel-corpus-2020-v1",
    "storage = threading.local()",
    'open(f"{exp_dir}/train/stats.npz"), ${exp_dir}/greedy/test',
    "ASIA, hf_transfer, ghp_, github_pat_, xoxb-",
    "version 10.2.1, 1.2.3, 12:30",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_passes(tmp_path: Path, text: str) -> None:
    (tmp_path / "README.md").write_text(f"---\nlicense: apache-2.0\n---\n\n{text}\n")
    refuse_private(tmp_path)


LATIN = "Müller & Söhne, for © see".encode("latin-1")
FILES = [
    pytest.param("LICENSE", LATIN + b"\nfrom /home/anna/x", "LICENSE:2: '/home/anna/x'", id="Latin-1"),
    pytest.param("words.dic", "\x93Straße\x94".encode("latin-1") + b" ~/exp/x", "words.dic:1: '~/exp'", id="lexicon"),
    pytest.param("a.bin", b"\xff\0\x01" + b"hf_" + LETTERS.encode(), None, id="pattern in a binary"),
    pytest.param("a.bin", b"\xff\x01\x02\x03 /home/anna/x", None, id="binary without NUL"),
    pytest.param(
        "a.bin", b"\xff\0 correct-horse-battery", "a.bin, byte 3: a text is a secret", id="secret in a binary"
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), FILES)
def test_files_that_are_no_unicode_are_searched_as_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, message: str | None
) -> None:
    monkeypatch.setenv("MY_SECRET", "correct-horse-battery")
    (tmp_path / name).write_bytes(content)
    if message is None:
        refuse_private(tmp_path)
        return
    with pytest.raises(ConfigError, match=message):
        refuse_private(tmp_path)


HEADERS = [
    pytest.param({"from": "/home/anna/last.ckpt"}, r"header:1: '/home/anna/last.ckpt' is an absolute path", id="path"),
    pytest.param({"key": "hf_" + LETTERS}, "header:1: a text looks like an access token", id="token"),
    pytest.param({"AWS_SECRET_ACCESS_KEY": LETTERS}, "header:1: a text is what AWS_SECRET_ACCESS_KEY", id="secret"),
    pytest.param({"format": "pt", "members": json.dumps([{"epoch": 1}])}, None, id="harmless"),
]


@pytest.mark.parametrize(("metadata", "message"), HEADERS)
def test_the_header_of_weights_is_searched(tmp_path: Path, metadata: dict[str, str], message: str | None) -> None:
    tensors = {"encoder.local.weight": np.ones((3, 4), np.float32)}
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    if message is None:
        refuse_private(tmp_path)
        return
    with pytest.raises(ConfigError, match=message):
        refuse_private(tmp_path)


def test_a_secret_behind_the_header_of_weights_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_SECRET", "correct-horse-battery")
    values = np.frombuffer(b"\0\0\0\0correct-horse-battery\0", np.uint8)
    save_file({"a": values}, tmp_path / "model.safetensors")
    place = (tmp_path / "model.safetensors").read_bytes().index(b"correct")
    with pytest.raises(ConfigError, match=rf"model.safetensors, byte {place}: a text is a secret"):
        refuse_private(tmp_path)


HOSTS = [
    (
        "speech",
        "A speech model, test data and model: speech. host of speech, speech/words, @speech, speech-to-text",
        None,
    ),
    ("speech", "info@speech.example.org, https://speech.example.org/x, https://example.org/speech", None),
    ("data", "data: 16000, data:16000, metadata, train/data, data.json", None),
    ("speech", "anna@speech: ls", "'speech' is the name of this machine"),
    ("speech", "http://speech:8080/", "'speech' is the name of this machine"),
    ("speech", '"hostname": "speech"', "'speech' is the name of this machine"),
    ("gpu07", "trained on gpu07", "'gpu07' is the name of this machine"),
    ("speech-box", "on speech-box.", "'speech-box' is the name of this machine"),
    ("speech.example.org", "on speech.example.org", "'speech.example.org' is the name of this machine"),
    ("gpu", "trained on gpu", None),
]


@pytest.mark.parametrize(("host", "text", "message"), HOSTS)
def test_a_machines_name_counts_where_it_is_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, text: str, message: str | None
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    monkeypatch.setattr(socket, "getfqdn", lambda: host)
    (tmp_path / "a.md").write_text(text)
    (tmp_path / "a.onnx").write_bytes(b"\0\xff speech data model gpu\0")
    if message is None:
        refuse_private(tmp_path)
        return
    with pytest.raises(ConfigError, match=message):
        refuse_private(tmp_path)

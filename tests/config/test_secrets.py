"""What a config may not hold, which is stored in plain text: what looks like a secret, or is called as nothing else."""

from pathlib import Path

import pytest

from espnet3.config.checks import check_slots
from espnet3.config.slots import load_slots
from espnet3.systems.base.system import BaseSystem


def secrets_of(tmp_path: Path, line: str) -> list[str]:
    """What is found in a config with this line in a section of its own."""
    path = tmp_path / "training.yaml"
    path.write_text(f"extra:\n  {line}\n", encoding="utf-8")
    return [str(finding) for finding in check_slots(BaseSystem, load_slots({"training_config": path}), [], tmp_path)]


AMBIGUOUS = """start_token end_token language_token task_token timestamp_token word_delimiter_token boundary_token key
join_key primary_key target_key bos_token pad_token eos_token token mask_token
group_key cache_key credentials auth low_pass"""
LETTERS = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zA0bC"
REFUSED = {
    **{
        f"{name}: hunter22": "is a secret"
        for name in ("password", "passwd", "secret", "api_key", "access_token", "db_pwd")
    },
    "password: 12345678": "is a secret",
    "secrets: {a: [hunter22]}": "is a secret",
    "private_key: {data: hunter22}": "is a secret",
    f"note: use hf_{LETTERS}": "an access token",
    f"note: ghp_{LETTERS}": "an access token",
    f"list: [a, AKIA{'ABCDEFGH' * 2}]": "an access token",
    "note: '-----BEGIN RSA PRIVATE KEY-----'": "an access token",
    "url: https://u:hunter22@h/a": "holds what is a secret in an address",
    "url: postgres://u:hunter22@h/a": "holds what is a secret in an address",
    f"url: https://{LETTERS}@h/a": "holds what is a secret in an address",
    f"url: 'https://h/a?X-Amz-Signature={LETTERS}'": "holds what is a secret in an address",
    f"url: 'https://h/a?sv=1&sig={LETTERS}'": "holds what is a secret in an address",
    f"url: 'https://h/a?token={LETTERS}'": "holds what is a secret in an address",
    f"headers: {{Authorization: Bearer {LETTERS}}}": "holds what is a secret",
    f"token: {LETTERS}": "looks like a secret",
    f"my_key: {LETTERS[:20]}": "looks like a secret",
}


@pytest.mark.parametrize(("line", "says"), REFUSED.items(), ids=REFUSED.keys())
def test_what_looks_like_a_secret_or_can_mean_nothing_else_is_refused(tmp_path: Path, line: str, says: str) -> None:
    (found,) = secrets_of(tmp_path, line)
    assert "/training.yaml:2: training_config.extra." in found
    assert says in found
    assert "set an environment variable" in found
    assert "hunter22" not in found
    assert LETTERS[:20] not in found


PASSED = [
    *(f"{name}: x" for name in AMBIGUOUS.split()),
    *(f"{name}: <blank>" for name in AMBIGUOUS.split()),
    "password: null",
    "password: ''",
    "use_auth_token: true",
    "api_key: null",
    "password_file: /run/secrets/a",
    "private_key: ~/.ssh/id_rsa",
    "secret_name: hub",
    "cache_key: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bd824cd15d6c15b0f00a08",
    "revision: 1b4f0e9851971998e732078544c96b36c3d01ced",
    "key: 1089-134686-0000",
    "join_key: FAKS0_SX403_dr1",
    "key: /data/LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac",
    "tokens: PGJsYW5rPgo8dW5rPgphCmIKYw==",
    "token_list_key: PGJsYW5rPgo8dW5rPgphCmIKYw==",
    "url: https://example.org:8080/a?page=2&tokenizer=bpe",
    "url: https://anna@example.org/a.git",
    "url: ssh://git@github.com/a",
    "storage: sqlite:///a.db",
    "model: hf_internal_testing_tiny_random",
    "image: own@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bd824cd15d6c15b0f00a08",
    "note: bearer of good news, password of the day",
]


@pytest.mark.parametrize("line", PASSED)
def test_settings_that_speech_has_every_day_are_no_secrets(tmp_path: Path, line: str) -> None:
    assert secrets_of(tmp_path, line) == []

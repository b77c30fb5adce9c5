"""Whatever reaches a log has its secrets masked, and its words, numbers and names left as they are."""

import time

import pytest

from espnet3.runtime.redaction import environment_secrets, masked, redact, secrets_in


def test_masks_values_at_any_depth_and_leaves_flags() -> None:
    config = {"hub": {"token": "abcd", "use_secret": True, "keys": ["a"]}, "secrets": {"one": "x", "many": ["y", None]}}
    assert masked(config) == {
        "hub": {"token": "***", "use_secret": True, "keys": ["a"]},
        "secrets": {"one": "***", "many": ["***", None]},
    }
    assert secrets_in(config) == {"abcd", "x", "y"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("the token is hunter22!", "the token is ***!"),
        ("hunter22hunter22-long", "***hunter22-long".replace("hunter22", "***")),
        ("x", "x"),
        ("http://me:hunter@host/a", "http://me:***@host/a"),
        ("at 12:30 me@host", "at 12:30 me@host"),
    ],
    ids=["value", "twice", "too short to be masked", "address", "no address"],
)
def test_redacts_values_and_addresses(text: str, expected: str) -> None:
    assert redact(text, {"hunter22", "x"}) == expected


def test_what_a_tokenizer_calls_its_tokens_is_shown() -> None:
    config = {
        "token": "<sos>",
        "my_token": "[CLS]",
        "start_token": "begin",
        "key": "▁a",
        "join_key": "speaker1",
        "n_keys": 3,
    }
    assert masked(config) == config
    assert secrets_in(config) == set()


VALUE = "s3cr3t-Abc.def/0"
IN_TEXTS = [
    "Authorization: Bearer {}",
    "authorization: bearer {}",
    "Proxy-Authorization: Basic {}",
    "Authorization: token {}",
    "Authorization={}",
    "{{'Authorization': 'Bearer {}', 'Accept': 'a/b'}}",
    '"Authorization": "Bearer {}"',
    "curl -H 'Authorization: Bearer {}' https://h/a",
    "sent Bearer {} to h",
    "X-Api-Key: {}",
    "'PRIVATE-TOKEN': '{}'",
    "X-Auth-Token: {}",
    "Set-Cookie: {}",
    "https://me:{}@host/x",
    "postgres://u:{}@h:5432/db",
    "redis://:{}@h:6379/0",
    "mongodb+srv://u:{}@h/db?retryWrites=true",
    "https://{}@github.com/a/b",
    "cloning https://oauth2:{}@gitlab.example/a.git failed",
    "https://b.s3.amazonaws.com/k?X-Amz-Credential=a%2Fb&X-Amz-Signature={}&x=1",
    "https://storage.googleapis.com/b/o?X-Goog-Signature={}",
    "https://x.blob.core.windows.net/c?sv=1&sig={}",
    "https://x.blob.core.windows.net/c?sv=1&amp;sig={}",
    "https://d.cloudfront.net/a?Expires=1&Signature={}&Key-Pair-Id=AB",
    "https://h/a?token={}&b=c",
    "https://h/a?access_token={}",
    "https://h/a#access_token={}",
    "https://h/a?api_key={}",
    "https://h/a?key={}",
    "password={}",
    "DB_PASSWORD={} run",
    "export GITHUB_PAT={}",
    "PGPASSWORD={} psql -h h",
    "MYSQL_PWD='{}' mysql",
    "AWS_SECRET_ACCESS_KEY={}",
    "AWS_SESSION_TOKEN: {}",
    "DATABASE_URL={}",
    "SENTRY_DSN = {}",
    "REDIS_AUTH={}",
    "hf_token: {}",
    'hf_token: "{}"',
    '{{"api_key": "{}", "a": 1}}',
    "connect(user='a', password='{}')",
    "--password {} --other",
    "--hf-token {}",
    "--token={}",
    "env: A=1 DB_PWD={} B=2",
    "a=b PGPASSWORD={}",
    "Cookie: session={}; other=1",
    "postgres://user@host/db?password={}",
    "jdbc:postgresql://h/db?user=a&password={}",
    "SharedAccessKey={};",
    "mysql://root:a@b/{}@h/db",
    "--api_key={}",
    "training_config.hub.access_token: {}",
    "AccountName=a;account_key={};Endpoint=b",
    "-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n{}",
]


@pytest.mark.parametrize("text", IN_TEXTS)
def test_secrets_are_masked_wherever_they_stand(text: str) -> None:
    value = VALUE.replace("/0", "") if "://" in text else VALUE
    shown = redact(f"at 12:30 {text.format(value)}\nand on", set())
    assert value not in shown
    assert "s3cr3t" not in shown
    assert "***" in shown
    assert shown.startswith("at 12:30 ")
    assert shown.endswith("\nand on") or "PRIVATE KEY" in text


AS_THEY_ARE = [
    "at 12:30 me@host: ssh git@github.com:a/b, ssh://git@github.com/a, https://example.org:8080/a@b",
    "http://host:8080/a?page=2&lang=en&tokenizer=bpe#top",
    "training_config.hub.password: is a secret, and a config is stored in plain text",
    "training_config.hub.access_token is missing.",
    "the token <blank> has id 0, start_token: <s>, num_tokens: 500, key: utt1, keys: 3",
    "tokens=500 tokens/s=1200 max_tokens=4096 lr=0.01 epoch=3 loss=1.25",
    "word_delimiter_token: '|'",
    "TOKENIZERS_PARALLELISM=false OMP_NUM_THREADS=2 PWD=/srv/a PATH=/usr/bin",
    "KeyError: 'text'",
    "basic normaliser, bearer of news, token classification, secret sharing",
    "password: None, token=null, api_key=False, secret: ''",
    "utt_id=1089-134686-0000 key=1089-134686-0000 audio: /data/a.flac",
    "sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bd824cd15d6c15b0f00a08",
    "revision=1b4f0e9851971998e732078544c96b36c3d01ced model=facebook/wav2vec2-large-960h",
    "password authentication failed for user anna",
    "--token_type bpe --stages train infer --num_tokens 500",
    "MAX_TOKENS=2048 BLANK_TOKEN=blank",
]


@pytest.mark.parametrize("text", AS_THEY_ARE)
def test_everything_else_is_left_as_it_is(text: str) -> None:
    assert redact(text, set()) == text


def test_what_was_masked_is_not_masked_again() -> None:
    once = redact("\n".join(text.format(VALUE) for text in IN_TEXTS), set())
    assert redact(once, set()) == once


@pytest.mark.parametrize(
    ("name", "value", "is_one"),
    [
        ("GITHUB_PAT", "hunter22", True),
        ("DB_PWD", "hunter22", True),
        ("PGPASSWORD", "12345678", True),
        ("DATABASE_URL", "postgres://u:hunter22@h/db", True),
        ("DATABASE_URL", "sqlite:///local.db", False),
        ("SLACK_WEBHOOK_URL", "https://hooks.example/a/b", True),
        ("AWS_SECRET_ACCESS_KEY", "hunter22", True),
        ("AWS_REGION", "eu-central-1", False),
        ("AWS_ACCESS_KEY_ID", "hunter22", True),
        ("REDIS_AUTH", "hunter22", True),
        ("BASIC_AUTH", "true", False),
        ("MY_TOKENS", "2048", False),
        ("PROJECT_PWD", "/", False),
        ("PWD", "/srv/a", False),
        ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/passwd", False),
        ("SSH_AUTH_SOCK", "/run/a", False),
    ],
)
def test_which_variables_of_the_environment_are_masked(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, is_one: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert (value in environment_secrets()) == is_one
    if is_one:
        assert redact(f"a {value} b", environment_secrets()) == "a *** b"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "a." * 100_000,
        "A1b" * 70_000,
        "x=" * 100_000,
        "https://" + "a:" * 50_000,
        "Bearer " * 20_000,
        "?a" * 99_999,
        "a-" * 99_999,
        "--a " * 50_000,
        "a: " * 60_000,
        "://a:" * 30_000,
        "sk-" * 60_000,
        "glpat-" * 30_000,
        "eyJ-" * 10_000,
        "authorization " * 10_000,
        "password='" * 20_000,
        "-----BEGIN PRIVATE KEY-----" * 5_000,
    ],
    ids=lambda text: text[:8],
)
def test_a_long_line_takes_no_time(text: str) -> None:
    started = time.perf_counter()
    redact(f"token {text}", set())
    assert time.perf_counter() - started < 5

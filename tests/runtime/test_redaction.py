import pytest

from espnet3.runtime.redaction import is_secret, masked, redact, secrets_in


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "hf_token",
        "HF_TOKEN",
        "password",
        "db-password",
        "secret",
        "client_secret",
        "key",
        "api_key",
        "apiKey",
        "API_KEYS",
        "WANDB_API_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "aws_access_key_id",
        "speech_api_key",
        "id_token",
    ],
)
def test_names_that_hold_a_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "output_keys",
        "input_key",
        "idx_key",
        "keep_checkpoints",
        "keep_key",
        "keys",
        "tokenizer",
        "token_type",
        "token_list",
        "num_tokens",
        "blank_token",
        "keyboard",
        "monkey",
        "secretary",
        "HF_TOKEN_PATH",
        "",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not is_secret(name)


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

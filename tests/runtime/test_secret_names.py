"""Names of configs and of the environment: those of secrets, those of speech, and those that may be either."""

import pytest

from espnet3.runtime.secret_names import is_certainly_secret, is_secret

CERTAIN = """
password passwd passphrase secret secrets api_key apiKey apikey API_KEY access_token accessToken auth_token db_pwd
DB_PWD MYSQL_PWD user_pwd PGPASSWORD PGPASS SSHPASS DB_PASSWORD db-password DB_PASSWORD_PROD password2 root_password
dbPassword client_secret aws_secret_access_key AWS_SECRET_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN
AWS_SECURITY_TOKEN hf_token HF_TOKEN HUGGINGFACE_HUB_TOKEN hub_token HF_TOKENS WANDB_API_KEY COMET_APIKEY
NEPTUNE_API_TOKEN GITHUB_TOKEN GITHUB_PAT GH_TOKEN GITLAB_PAT GITLAB_TOKEN CLEARML_API_SECRET_KEY SSH_PRIVATE_KEY_DATA
PRIVATE_KEY private_key GPG_PASSPHRASE SMTP_PASS db_pass smtp_pass bearer_token refresh_token OPENAI_API_KEY
ANTHROPIC_API_KEY AZURE_CLIENT_SECRET KUBE_TOKEN_DATA SLACK_BOT_TOKEN TELEGRAM_BOT_TOKEN DOCKER_REGISTRY_PASSWORD
SECRET_KEY AZURE_STORAGE_ACCOUNT_KEY GOOGLE_API_KEY VAULT_TOKEN speech_api_key api_keys passwordHash2secret npm_token
PYPI_API_TOKEN
"""
MAYBE = """
token key TOKEN KEY id_token session_token token_value TOKEN_VALUE credential credentials REDIS_AUTH AUTHORIZATION
BEARER CI_JOB_JWT CI_JOB_TOKEN SENTRY_DSN DATABASE_URL DB_URL SQLALCHEMY_DATABASE_URI MONGODB_URI REDIS_URL
SLACK_WEBHOOK_URL TEAMS_WEBHOOK AZURE_STORAGE_CONNECTION_STRING AZURE_STORAGE_SAS basic_auth license_key MY_KEY COOKIE
JIRA_PAT
"""
HARMLESS = """
start_token end_token language_token task_token timestamp_token word_delimiter_token boundary_token join_key
primary_key target_key bos_token eos_token pad_token unk_token blank_token mask_token cls_token sep_token
sot_start_token lang_token stop_token num_tokens max_tokens MAX_NEW_TOKENS total_tokens tokens keys output_keys
input_key idx_key cache_key sort_key group_key label_key text_key audio_key token_type token_list token_id token_ids
key_dim key_size tokenizer tokenize keyboard monkey secretary passwordless_name password_file PASSWORD_FILE
SECRET_NAME secret_name HF_TOKEN_PATH token_path key_path low_pass high_pass band_pass first_pass two_pass num_passes
compass bypass PWD OLDPWD cwd path pattern pats author authority SSH_AUTH_SOCK XAUTHORITY auth_type model_url url
audio_url dataset_uri api_key_env password_policy public_key public_keys column_key attention_key join_keys
partition_key speaker_token noise_token prompt_token TOKENIZERS_PARALLELISM
"""


@pytest.mark.parametrize("name", CERTAIN.split())
def test_names_that_can_mean_nothing_else(name: str) -> None:
    assert is_certainly_secret(name)
    assert is_secret(name)


@pytest.mark.parametrize("name", MAYBE.split())
def test_names_that_may_hold_one(name: str) -> None:
    assert is_secret(name)
    assert not is_certainly_secret(name)


@pytest.mark.parametrize("name", [*HARMLESS.split(), ""])
def test_names_of_speech_and_of_shells(name: str) -> None:
    assert not is_secret(name)
    assert not is_certainly_secret(name)

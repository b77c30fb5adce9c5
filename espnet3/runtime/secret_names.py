"""Which names hold a secret: those that can mean nothing else, and those that may.

`redaction` masks what stands under either in logs; a config with a literal value under one of the former is refused
(`checks`), for a config is stored in plain text. In speech, `start_token`, `join_key` and `low_pass` are no secrets.
"""

import re
from functools import lru_cache


def _terms(text: str) -> frozenset[str]:
    return frozenset(text.split())


_ENDINGS = (
    *("password", "passwords", "passwd", "passphrase", "passwort", "secret", "secrets", "pwd", "apikey", "apikeys"),
    *("secretkey", "accesskey", "privatekey", "accesstoken", "authtoken", "hftoken", "githubtoken", "apitoken"),
    *("pgpass", "sshpass", "dbpass"),
)
"""Of one word, alone or run together with another: `PGPASSWORD`, `dbpwd`."""
_SHELL = _terms("pwd oldpwd")
"""The working directory."""
_PAIRS = {
    "key": _terms("api access secret private account signing encryption ssh gpg rsa openai"),
    "token": _terms(
        """api access auth authentication authorization bearer refresh oauth security hf hub huggingface github gh
        gitlab slack telegram discord npm pypi wandb neptune comet clearml mlflow kube k8s kubernetes vault registry
        docker aws azure gcp google openai anthropic cloudflare deploy jwt sas csrf admin"""
    ),
    "pat": _terms("github gh gitlab git azure devops ado bitbucket"),
    "pass": _terms("db database smtp ftp mail mysql postgres redis user admin root proxy"),
}
"""{word: words that leave no doubt right before it; before a token anywhere, as in aws_session_token}."""
_LAST = _terms("auth authorization bearer pat jwt dsn webhook webhooks sas pass cookie")
"""Words that may say it at the end of a name alone: `auth_type` is none."""
_MAYBE = _terms("token tokens key keys credential credentials") | _LAST
_OF_ADDRESSES = _terms("url urls uri string strings")
_ADDRESSES = _terms(
    """database db postgres postgresql mysql mariadb mongo mongodb redis amqp rabbitmq broker jdbc sqlalchemy webhook
    connection conn"""
)
"""What `DATABASE_URL` and the like have a password in, as often as not."""
_HARMLESS = _terms(
    """input output idx index sort data dataset dict group public num max min keep ref hyp text audio speech wav feats
    utt speaker label query value blank unk pad sos eos bos cls sep mask special word space start end begin first last
    language lang task timestamp delimiter boundary join primary foreign target source src tgt cache lookup map
    partition batch new all total extra additional added stop prompt prefix suffix silence noise oov char phone subword
    unit attention head cross self encoder decoder hidden state metric score result config column field feature sample
    item record split domain emotion event turn transcript translate segment translation notimestamps nospeech low high
    band two one single multi forward backward second file"""
)
"""Terms of the field before `token`, `key` or `pass`."""
_ABOUT = _terms(
    """list type types id ids path paths file files dir size dim length lengths count name names embedding embeddings
    policy rule rules field prompt hint env var variable ref required manager store provider helper expiry expires ttl
    len version hash strength min max enabled scheme method mode index column sock mount"""
)
"""Last words that make a name one about a secret."""


def is_certainly_secret(name: str) -> bool:
    """Whether a key or variable of this name can hold nothing but a secret: `api_key`, `db_pwd`, `hf_token`."""
    words = _words(name)
    if not words or words[-1] in _ABOUT:
        return words[-3:] == ("access", "key", "id")
    if any(word.endswith(_ENDINGS) for word in words if len(words) > 1 or word not in _SHELL):
        return True
    return any(_leaves_no_doubt(words[:number], word) for number, word in enumerate(words))


def _leaves_no_doubt(before: tuple[str, ...], word: str) -> bool:
    known = _PAIRS.get(word) or _PAIRS.get(word.removesuffix("s"), frozenset())
    if not before or before[-1] in _HARMLESS:
        return False
    return bool(known.intersection(before if word.startswith("token") else before[-1:]))


def is_secret(name: str) -> bool:
    """Whether a config key or an environment variable of this name may hold a secret: also `token`, `DATABASE_URL`."""
    words = _words(name)
    if is_certainly_secret(name):
        return True
    if not words or words[-1] in _ABOUT or words in (("keys",), ("tokens",)):
        return False
    if words[-1] in _OF_ADDRESSES and len(words) > 1:
        return words[-2] in _ADDRESSES
    return any(
        word in _MAYBE and before not in _HARMLESS and (word not in _LAST or number == len(words) - 1)
        for number, (before, word) in enumerate(zip(("", *words), words, strict=False))
    )


@lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    """Of `aws_key`, `aws-key`, `awsKey` and `AWS_KEY2`: aws and key."""
    return tuple(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))

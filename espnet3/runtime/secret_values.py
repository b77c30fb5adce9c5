"""Texts that look like a secret wherever they stand: access tokens by their format, and what is too random for a word.

`redaction` masks them, `checks` refuses them in a config, `publishing.privacy` in what is published. The services and
the lengths of their tokens are those of the rules of gitleaks (https://github.com/gitleaks/gitleaks, MIT licence) and
of the services' own documentation, written down anew as prefix, letters and length; rules that a digest, an utterance's
id or a list of tokens in base64 would meet were left out.
"""

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

_ALNUM, _HEX, _URL_SAFE = r"[A-Za-z\d]", r"[a-f\d]", r"[\w-]"
_MIXED = r"(?=[a-z\d]*[A-Z])(?=[A-Z\d]*[a-z])"
"""What follows has small letters and capitals, unlike a name such as hf_transformersautomodel."""
_DIGIT = r"(?=[A-Za-z_-]{0,60}\d)"
_FORMATS = (
    ("hf_", rf"hf_(?:{_MIXED}|(?={_ALNUM}{{30}}))", _ALNUM, "20,"),  # Hugging Face
    ("api_org_", "api_org_", _ALNUM, "30,"),
    ("gh", "gh[pousr]_", _ALNUM, "20,"),  # GitHub
    ("github_pat_", "github_pat_", r"\w", "20,"),
    ("gl", f"gl(?:pat|ptt|dt|rt|cbt|oas|soat|ft|imt|agent|ffct)-{_DIGIT}", _URL_SAFE, "16,"),  # GitLab
    ("AKIA ASIA ABIA ACCA", "A(?:KIA|SIA|BIA|CCA)", r"[A-Z\d]", "16"),  # AWS
    ("ABSK", "ABSK", r"[A-Za-z\d+/]", "109,269"),
    ("sk-", r"sk-(?:[\w-]{0,40}[-_])?(?=[A-Za-z]{0,60}\d)", _ALNUM, "16,"),  # OpenAI, Anthropic, DeepSeek
    ("xox xapp-", r"xox[abeoprs]-|xapp-\d-", r"[A-Za-z\d-]", "10,"),  # Slack
    ("AIza", "AIza", _URL_SAFE, "35"),  # Google
    ("GOCSPX-", "GOCSPX-", _URL_SAFE, "28"),
    ("ya29.", r"ya29\.", _URL_SAFE, "30,"),
    ("sk_ rk_ whsec_", f"(?:[sr]k|whsec)_(?:(?:test|live|prod)_)?{_DIGIT}", _ALNUM, "24,"),  # Stripe
    ("npm_", "npm_", _ALNUM, "36"),
    ("pypi-AgE", "pypi-AgE", _URL_SAFE, "50,"),
    ("rubygems_", "rubygems_", _HEX, "48"),
    ("dckr_", "dckr_[op]at_", _URL_SAFE, "20,"),  # Docker
    ("_v1_", "do[opr]_v1_", _HEX, "64"),  # DigitalOcean
    ("dapi", "dapi", _HEX, "32"),  # Databricks
    ("dp.", r"dp\.(?:pt|st|ct|sa|scim|audit)\.", _ALNUM, "40,"),  # Doppler
    ("pul-", "pul-", _HEX, "40"),  # Pulumi
    ("hvs. hvb. hvr.", r"hv[sbr]\.", _URL_SAFE, "24,"),  # Vault
    ("glsa_", "glsa_", _ALNUM, "32"),  # Grafana
    ("glc_", "glc_", r"[A-Za-z\d+/]", "32,"),
    ("SG.", r"SG\.", r"[\w.-]", "60,"),  # SendGrid
    ("PMAK-", "PMAK-", r"[a-f\d-]", "59"),  # Postman
    ("pscale_", "pscale_(?:tkn|pw|oauth)_", r"[\w=.-]", "32,"),  # PlanetScale
    ("shp", "shp(?:at|ca|pa|ss)_", r"[a-fA-F\d]", "32"),  # Shopify
    ("sq0", "sq0(?:atp|csp)-", _URL_SAFE, "22,"),  # Square
    ("lin_api_", "lin_api_", _ALNUM, "40"),  # Linear
    ("ntn_", "ntn_", _ALNUM, "40,"),  # Notion
    ("pnu_ pnb_", "pn[ub]_", _ALNUM, "36"),  # Prefect
    ("r8_", "r8_", _ALNUM, "37"),  # Replicate
    ("gsk_", "gsk_", _ALNUM, "48,"),  # Groq
    ("pplx-", "pplx-", _ALNUM, "40,"),  # Perplexity
    ("xai-", "xai-", _ALNUM, "60,"),
    ("nvapi-", "nvapi-", _URL_SAFE, "60,"),  # NVIDIA
    ("wandb_v1_", "wandb_v1_", r"\w", "40,"),
    ("HRKU-AA", "HRKU-AA", _URL_SAFE, "50,"),  # Heroku
    ("ATATT3", "ATATT3", r"[\w=-]", "100,"),  # Atlassian
    ("AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1", r"[A-Z\d]", "58"),
    ("fo1_ fm", "(?:fo1|fm1[ar]|fm2)_", r"[\w+/-]", "40,"),  # Fly
    ("sha256~", "sha256~", _URL_SAFE, "43"),  # OpenShift
    ("sntry", "sntry[su]_", r"[\w+/=]", "60,"),  # Sentry
    ("ops_eyJ", "ops_eyJ", r"[A-Za-z\d+/]", "100,"),  # 1Password
    ("dt0c01.", r"dt0c01\.", r"[A-Z\d.]", "80,"),  # Dynatrace
    ("AKCp", "AKCp", _ALNUM, "69,"),  # JFrog
    ("pat", r"pat[A-Za-z\d]{14}\.", _HEX, "64"),  # Airtable
    ("LTAI", "LTAI", _ALNUM, "20"),  # Alibaba
    ("AKID", "AKID", _ALNUM, "32"),  # Tencent
    ("SK", "SK", _HEX, "32"),  # Twilio
    ("eyJ", r"eyJ[\w-]{10,4000}\.eyJ[\w-]{10,4000}\.", _URL_SAFE, "10,"),  # JSON Web Tokens
    (":AA", r"\d{8,10}:AA", _URL_SAFE, "32,34"),  # Telegram
    ("hooks.slack.com/", r"hooks\.slack\.com/(?:services|workflows|triggers)/", r"[\w/+]", "20,"),
    ("api/webhooks/", r"discord(?:app)?\.com/api/webhooks/\d+/", _URL_SAFE, "20,"),
    ("webhookb2/", r"webhook\.office\.com/webhookb2/", r"[\w@/-]", "40,"),
)
"""(what is in it for certain, its beginning, one of the letters that follow, how many)."""
TOKEN = re.compile(
    r"(?<![A-Za-z\d])(?:"
    + "|".join(f"(?:{begin}){letters}{{{many}}}" for _, begin, letters, many in _FORMATS)
    + r")(?![A-Za-z\d])",
    re.ASCII,
)
MARKS = tuple(mark for marks, *_ in _FORMATS for mark in marks.split())
"""One of these is in every text that `TOKEN` finds something in; to look for them first is many times as fast."""
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----")
_LEAST_BITS = 2.0
"""Entropy of a letter: `hf_xxxxxxxxxxxxxxxxxxxxxxxx` is a placeholder."""
_RANDOM_BITS = 3.5
_RANDOM_LENGTH = range(16, 201)
_LEAST_CHANGES = 0.45
"""Share of neighbours of another kind (capital, small letter, digit): two thirds in what is random, few in words."""


def tokens_in(text: str) -> Iterator[str]:
    """The parts of a text that have the format of an access token and are none of the placeholders of manuals."""
    if any(mark in text for mark in MARKS):
        yield from (found[0] for found in TOKEN.finditer(text) if entropy(found[0]) >= _LEAST_BITS)


def looks_random(text: str) -> bool:
    """Whether a whole text is random as only keys are: no path, digest, id of words and numbers, or text in base64."""
    if len(text) not in _RANDOM_LENGTH or not re.fullmatch(r"[\w+/=.~-]+", text, re.ASCII) or _is_text_in_base64(text):
        return False
    longest = max(re.split(r"[^A-Za-z\d]+", text), key=len)
    kinds = [0 if letter.isdigit() else 1 if letter.isupper() else 2 for letter in longest]
    if len(longest) < _RANDOM_LENGTH.start or len({*kinds}) < 3 or entropy(longest) < _RANDOM_BITS:
        return False
    return sum(one != other for one, other in pairwise(kinds)) >= _LEAST_CHANGES * len(kinds)


def entropy(text: str) -> float:
    """Bits of a letter, by Shannon."""
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)


def _is_text_in_base64(text: str) -> bool:
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return False
    return all(letter.isprintable() or letter.isspace() for letter in decoded)

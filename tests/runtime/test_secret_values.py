"""Access tokens are known by their format, keys by their randomness; what speech is full of is neither."""

import base64
import hashlib
import random
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espnet3.runtime.secret_values import looks_random, tokens_in

ALNUM, HEX, UPPER = string.ascii_letters + string.digits, "0123456789abcdef", string.ascii_uppercase + "234567"
FORMATS = [
    ("hf_", ALNUM, 34),
    ("ghp_", ALNUM, 36),
    ("gho_", ALNUM, 36),
    ("ghs_", ALNUM, 36),
    ("github_pat_", ALNUM, 82),
    ("glpat-", ALNUM, 20),
    ("AKIA", UPPER, 16),
    ("ASIA", UPPER, 16),
    ("sk-", ALNUM, 48),
    ("sk-proj-", ALNUM, 100),
    ("sk-ant-api03-", ALNUM, 95),
    ("xoxb-123456789012-", ALNUM, 24),
    ("AIza", ALNUM, 35),
    ("GOCSPX-", ALNUM, 28),
    ("sk_live_", ALNUM, 24),
    ("npm_", ALNUM, 36),
    ("pypi-AgEIcHlwaS5vcmc", ALNUM, 120),
    ("dckr_pat_", ALNUM, 27),
    ("dop_v1_", HEX, 64),
    ("dapi", HEX, 32),
    ("hvs.", ALNUM, 95),
    ("glsa_", ALNUM, 32),
    ("SG.", ALNUM, 66),
    ("shpat_", HEX, 32),
    ("lin_api_", ALNUM, 40),
    ("r8_", ALNUM, 37),
    ("gsk_", ALNUM, 52),
    ("nvapi-", ALNUM, 64),
    ("LTAI", ALNUM, 20),
    ("SK", HEX, 32),
    ("https://hooks.slack.com/services/", ALNUM, 44),
]


def drawn(letters: str, many: int, seed: int) -> str:
    chosen = random.Random(seed)
    return "".join(chosen.choice(letters) for _ in range(many))


@pytest.mark.parametrize(("prefix", "letters", "many"), FORMATS, ids=[prefix for prefix, *_ in FORMATS])
@pytest.mark.parametrize("around", ["{}", "token={}", '"{}"', "a {}, b", "x:{}\n"])
def test_access_tokens_are_known_by_their_format(prefix: str, letters: str, many: int, around: str) -> None:
    token = prefix + drawn(letters, many, len(prefix))
    (found,) = tokens_in(around.format(token))
    assert token.endswith(found)


def test_a_json_web_token_is_one() -> None:
    parts = [
        base64.urlsafe_b64encode(text).rstrip(b"=").decode() for text in (b'{"alg":"HS256"}', b'{"sub":"ada","a":1}')
    ]
    assert list(tokens_in(f"token {'.'.join([*parts, drawn(ALNUM, 43, 1)])}"))


TOKEN_LIST = "\n".join(["<blank>", "<unk>", "▁A", "▁THE", "E", "S", "▁OF"])
HARMLESS = [
    "hf_internal_testing_tiny_random_wav2vec2",
    "hf_transformersautomodel",
    "hf_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "sk_test_commonvoice17",
    "sk-cs-parallel-corpus-2020-v1",
    "gh_pages, ghp_, github_pat_, AKIA, ASIA, SK, eyJ",
    "facebook/wav2vec2-large-960h-lv60-self",
    "speech-SK01_2020-en_US",
    "glottal-stop-analysis-of-speech",
    hashlib.sha256(b"a").hexdigest(),
    hashlib.sha1(b"a").hexdigest(),  # a revision of git
    hashlib.md5(b"a").hexdigest(),  # Kaldi's and torchaudio's digests
    f"sha256:{hashlib.sha256(b'b').hexdigest()}",
    f"registry.example.com/train@sha256:{hashlib.sha256(b'c').hexdigest()}",
    str(uuid.UUID(int=random.Random(0).getrandbits(128))),
    base64.b64encode(TOKEN_LIST.encode()).decode(),
    base64.b64encode(b'{"a": 0, "b": 1, "c": 2}').decode(),
    base64.b64encode(b"<blank> <unk> 0 1 2 3").decode(),
    "1089-134686-0000",
    "FAKS0_SX403_dr1_TIMIT01",
    "Speaker12Session03Utterance5Channel2",
    "LibriSpeechTrainClean360Hours",
    "common_voice_en_19664034.mp3",
    "sw02001-A_000098-001156",
    "/data/LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac",
    "exp/conformer_12L_8H_256D_warmup25k_lr0.002/valid.acc.best",
    "AN4fsh5MenFashV1CallcenterEval2000",
    "2026-11-28T18:58:52Z",
    "1234567890e1",
    "torch==2.9.1+cu130",
    "Wav2Vec2ForCTC.from_pretrained",
    "\u0430\u0443\u0434\u0438\u043e0123456789\u0414\u043b\u0438\u043d\u043d\u0430\u044f",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_speech_is_full_of_is_no_secret(text: str) -> None:
    assert list(tokens_in(text)) == []
    assert not looks_random(text)


@given(st.binary(min_size=16, max_size=40))
def test_a_digest_is_no_secret(content: bytes) -> None:
    for made in (hashlib.md5, hashlib.sha1, hashlib.sha256, hashlib.sha512):
        digest = made(content).hexdigest()
        assert not looks_random(digest)
        assert list(tokens_in(digest)) == []


@given(st.text(min_size=12, max_size=100))
def test_a_text_in_base64_is_no_secret(text: str) -> None:
    encoded = base64.b64encode(f"<blank>\n{text}".encode()).decode()
    assert list(tokens_in(encoded)) == []
    assert not looks_random(encoded) or not all(letter.isprintable() or letter.isspace() for letter in text)


def test_random_keys_are_told_from_words() -> None:
    keys = [drawn(ALNUM, many, seed) for many in (20, 24, 32, 40, 64) for seed in range(200)]
    assert sum(map(looks_random, keys)) > 0.95 * len(keys)

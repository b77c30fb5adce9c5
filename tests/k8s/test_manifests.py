"""Whatever text is in a manifest, every reader of YAML reads that text: PyYAML, YAML 1.1 and 1.2, Go's, kubectl."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from espnet3.recipe.run_config import RecipeFile, RunConfig, RunRecipe
from k8s.manifests import to_yaml

NUMBERS = """
0 1 -1 +1 012 0o17 0O17 0x1F 0X1f 0b101 0b12 08 1_000 1,000 1__0 _1 1_ +_25 +_ 0x_1 0x1p-2 12:30 1:30:00 -12:30
190:20:30.15 1. .5 -.5 +.5 . .. - + -. 1.5 1e3 1E3 1e+3 1e-3 1.e3 .1e3 1e1000 1e 1e+ 1234567890e1
123456789e12 00000123e100 000000000000 123456789012 .inf -.inf +.Inf .INF .nan .NaN .NAN inf -inf Infinity
nan NaN 1.2.3 10.0.0.1 1-2 -1-2
"""
DATES = ["2001-12-14", "2001-1-1", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43.10 -5", "2001-12-15T02:59:43Z"]
WORDS = """
y Y n N yes Yes YES no No NO on On ON off Off OFF true True TRUE false False FALSE null Null NULL ~ = << none None nil
yEs tRUE nULL ! !!str !!binary & &a * *a ? | > % @ ` # : - [ ] { } , ' " -- --- ... :a a: :sym ?a -a
"""
LAYOUT = [
    "",
    " ",
    "\t",
    "\n",
    "\r",
    "\r\n",
    " a",
    "a ",
    "a\n",
    "a\n\n",
    "\na",
    "a\nb",
    "a\n  b",
    "  a\nb",
    "a \nb",
    "a\tb",
    "\ta",
    "a: b",
    "a:b",
    "a #b",
    "a#b",
    "- a",
    "? a",
    "a, b",
    "{{workflow.name}}",
    "a\\b",
    "it's",
    'say "a"',
    "%YAML 1.2",
    "---\na",
    "a\n...\n",
    "\x85",
    "a\x85b",
    "\u2028",
    "a\u2029b",
    "\ufeff",
    "a\ufeff",
    "\x7f",
    "\x1b[0m",
    "\x00",
    "\x07",
    "\x9f",
    "\xa0",
    "\u200b",
    "\ufffe",
    "é",
    "e\u0301",
    "😀",
    "数字",
]
TEXTS = [
    *NUMBERS.split(),
    *DATES,
    *WORDS.split(),
    *LAYOUT,
    "SGVsbG8=",
    "0x1G",
    "16Gi",
    "500m",
    "1a2b3c",
    "v1.0",
    "a" * 9999,
]
OTHERS = {
    "bool 1.1": r"y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF",
    "int 1.1": r"[-+]?(0b[01_]+|0[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+|[1-9][0-9_]*(:[0-5]?[0-9])+)",
    "float 1.1": r"[-+]?([0-9][0-9_]*)?\.[0-9.]*([eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*",
    "special 1.1": r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)|~|null|Null|NULL||=|<<",
    "date 1.1": r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(([Tt]|[ \t]+)[0-9]{1,2}(:[0-9]{2}){2}(\.[0-9]*)?([ \t]*(Z|[-+].*))?)?",
    "core 1.2": r"null|Null|NULL|~||true|True|TRUE|false|False|FALSE|[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"
    r"|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN",
    "go float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
    "go int": r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+|[0-9][0-9_]*)",
    "ruby": r"[-+]?(0|[1-9]([0-9]|,[0-9]|_[0-9])*)|:.+",
}
"""What readers take bare scalars for: YAML 1.1's type repository, YAML 1.2's chapter 10.3, go-yaml's, Psych's."""


def written(texts: Iterable[str]) -> str:
    """A ConfigMap with each of the texts as a key and as a value."""
    data = dict(zip(texts, texts, strict=True)) if isinstance(texts, list) else {text: text for text in texts}
    return to_yaml([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}], "x")


def bare(document: str) -> list[str]:
    """Its plain scalars."""
    return [
        event.value for event in yaml.parse(document) if isinstance(event, yaml.ScalarEvent) and event.style is None
    ]


def misread(document: str) -> list[str]:
    """The plain scalars that some reader takes for something else than a text."""
    return [
        f"{text!r} is {kind}"
        for text in bare(document)
        for kind, pattern in OTHERS.items()
        if re.fullmatch(pattern, text)
    ]


def data_of(document: str) -> Any:
    return yaml.safe_load(document)["data"]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: repr(text[:20]))
def test_each_text_is_read_as_it_is(text: str) -> None:
    document = written([text])
    assert data_of(document) == {text: text}
    assert misread(document) == []


NEAR_NUMBERS = st.text(st.sampled_from("0123456789eExXoObB_.,:+-abcdefinfNaAtTzZ "), max_size=14)
ANYTHING = st.text() | NEAR_NUMBERS | st.sampled_from(TEXTS) | st.integers().map(str) | st.floats().map(str)


@given(st.lists(ANYTHING, unique=True, max_size=5))
def test_any_text_is_read_as_it_is(texts: list[str]) -> None:
    document = written(texts)
    assert data_of(document) == {text: text for text in texts}
    assert misread(document) == []


@given(
    st.text("0123456789abcdef", min_size=12, max_size=12) | st.from_regex(r"[0-9]{1,10}e[0-9]{1,10}", fullmatch=True)
)
def test_a_digest_is_no_number(digest: str) -> None:
    assert misread(to_yaml([{"metadata": {"labels": {"espnet3.org/config": digest}}}], "x")) == []


@given(st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False))
def test_what_is_no_text_stays_what_it_is(value: float | bool | None) -> None:
    read = yaml.safe_load(to_yaml([{"value": value}], "x"))["value"]
    assert type(read) is type(value)
    assert read == value


@pytest.mark.parametrize("text", ["16Gi", "500m", "a", "train", "/workspace", "--config", ".runs/1a/run.yaml", "v1"])
def test_what_nobody_misreads_stays_bare(text: str) -> None:
    assert text in bare(written([text]))


def test_the_command_that_made_it_stays_a_comment() -> None:
    assert yaml.safe_load(to_yaml([{"a": "b"}], "python -m k8s render x\nkind: Secret\u2028y: z")) == {"a": "b"}


def kubectl(document: str) -> Mapping[str, Any]:
    """The object as kubectl reads it: `create` would ask a server what kinds there are."""
    command = ["kubectl", "label", "--local", "--dry-run=client", "--output=json", "--filename=-", "a=b"]
    done = subprocess.run(command, input=document, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    read: Mapping[str, Any] = json.loads(done.stdout)
    return read


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not on the PATH")
def test_kubectl_reads_each_text_as_it_is() -> None:
    assert kubectl(written(TEXTS))["data"] == {text: text for text in TEXTS}


def test_the_run_config_s_texts_are_no_numbers_either() -> None:
    recipe = RunRecipe(name="a/b", files={"run.py": RecipeFile(sha256=SHA_OF_NOTHING, text="")})
    slots = {"training_config": {"texts": TEXTS, "by_name": dict.fromkeys(TEXTS, "a")}}
    config = RunConfig(system="a.B", stages=TEXTS, slots=slots, recipe=recipe)
    assert yaml.safe_load(config.to_yaml()) == config.model_dump()
    first, rest = config.to_yaml().split("\n", 1)
    assert first == "schema_version: 1"
    assert misread(rest) == []


SHA_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

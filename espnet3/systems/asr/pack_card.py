"""What the card of a packed model says of speech recognition: how to use it, how well it hears, what ONNX costs.

`packing` hands `CARD` to `espnet3.publishing.card`. Every number stands in meta.json.
"""

import re

from espnet3.systems.asr.onnx_files import BACKEND_OF
from espnet3.systems.base.packing import About, CardText, Rate

_USAGE = """## Use

In the source of ESPnet3 Systems (this pack was made with version {version}), run `pip install ".[infer]"`, or
`pip install ".[infer,publish]"` to get models from the Hub, too. Then:

```python
import espnet3

model = espnet3.load("{name}")
print(model("speech.wav"))  # a file
print(model(samples, {rate}))  # an array of samples and its rate
print(model(["one.wav", "two.wav"]))  # several
```

or `python -m espnet3.transcribe {name} speech.wav`. The model takes speech of one channel at {rate} Hz; other audio is
mixed down and resampled. Loading it runs no code of this repository{code}, and checks every file but this card against
`SHA256SUMS`.
"""


def _usage(about: About, name: str, code: str) -> str:
    use = _USAGE.format(version=about["espnet3"], rate=about["sample_rate"], name=name, code=code)
    return use + _example(about) + _onnx(about, name)


def _example(about: About) -> str:
    example = about.get("example")
    if not example:
        return ""
    return (
        f"\nWhen this pack was made, it heard “{example['hypothesis']}” in the test utterance "
        f"`{example['utterance']}`, of which the reference is “{example['reference']}”.\n"
    )


def _onnx(about: About, name: str) -> str:
    onnx = about.get("onnx")
    if not onnx:
        return ""
    lines = [
        "",
        "### Without torch",
        "",
        'ONNX Runtime runs these files; `pip install ".[demo]"` brings it, and no torch.',
        "",
        "```python",
    ]
    lines += [f'model = espnet3.load("{name}", backend="{BACKEND_OF[precision]}")' for precision in onnx]
    lines += ["```", "", "| file | MB | texts other than torch's | WER, % | above torch's |", "|---|---|---|---|---|"]
    for each in onnx.values():
        compared = f"{each['differing']} of {each['utterances']}" if "utterances" in each else "not compared"
        rates = f"{each['wer']:.2f} | {each['wer'] - each['wer_torch']:+.2f}" if "wer" in each else " | "
        lines.append(f"| `{each['file']}` | {each['bytes'] / 1e6:.1f} | {compared} | {rates} |")
    if any("wer" in each for each in onnx.values()):
        lines += ["", "This WER is of the texts as they are written, without a normaliser that the results may have."]
    return "\n".join(lines) + "\n"


def _conditions(about: About) -> str:
    words = re.findall("[A-Z][a-z]*", str(about["decoder"]).rpartition(".")[2])
    decoder = f"the {' '.join(words).lower()}" if words else "its decoder"
    backend = f"; the model ran in {about['backend']}" if about.get("backend") else ""
    return f"Decoded with {decoder}{backend}."


CARD = CardText(
    task="Speech recognition",
    tags=("audio", "speech-recognition"),
    usage=_usage,
    conditions=_conditions,
    rates={
        "wer": Rate("word error rate (WER)", "words"),
        "cer": Rate("character error rate (CER)", "characters"),
    },
)

"""A Space's card: README.md with the front matter that says how the Space runs. `pack` calls it."""

import json

from espnet3.packs.meta import Meta
from espnet3.systems.base.publication_config import PackDemo

PYTHON = "3.11"
"""The version that the demo is tested with."""
DESCRIPTION = "Record something or choose a file, and read what was recognised."
"""Where the config has none, here and above the app."""
LONGEST_SHORT = 60
"""Characters of the Hub's `short_description`."""


def card(asked: PackDemo, model: Meta, gradio: str, repo: str | None) -> str:
    """The card's text.

    Args:
        asked: the settings of pack_demo.
        model: what the pack says of itself.
        gradio: the version that the Space installs.
        repo: the model's repository, which the Space then links to.
    """
    title = asked.title or model.title
    entries = {
        "title": title,
        "emoji": asked.emoji,
        "colorFrom": "blue",
        "colorTo": "green",
        "sdk": "gradio",
        "sdk_version": gradio,
        "python_version": PYTHON,
        "app_file": "app.py",
        "pinned": False,
        "license": model.licence,
        "short_description": "Speech recognition in the browser, with ESPnet3"[:LONGEST_SHORT],
        **({"models": [repo]} if repo else {}),
        "tags": ["automatic-speech-recognition", "espnet3", "onnx"],
    }
    # JSON is YAML too, and quotes what a title may hold.
    front = "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in entries.items())
    where = f"[{repo}](https://huggingface.co/{repo})" if repo else "the folder `model`"
    return f"""---
{front}---

# {title}

{asked.description or DESCRIPTION}

The model is {where}: what it was trained on, how well it recognises, and what it is not for is written there. It runs
on ONNX Runtime without torch. Audio of at most {asked.max_seconds:g} seconds is taken, at any sample rate; what was
uploaded is deleted within an hour.

Run it yourself, with Python {PYTHON} or newer:

```
pip install -r requirements.txt
python app.py    # http://localhost:7860
```
"""

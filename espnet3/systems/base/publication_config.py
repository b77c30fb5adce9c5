"""The publication slot: what pack_model, upload_model, pack_demo and upload_demo read.

`espnet3.systems.base.config` is where everybody imports `PublicationConfig` from. Each stage has a section of its own
name, so that a change of one redoes only that stage and those after it. For what is in a pack, see
`espnet3.packs`.
"""

from pydantic import Field, PositiveFloat

from espnet3.config.sections import Folder, Section, Target


class Onnx(Section):
    """The copy of the model that runs without torch."""

    export: bool = False
    """Write `model.onnx`; needs the extra `publish`."""
    int8: bool = False
    """Write `model.int8.onnx` too, a quarter of the size."""


class Benchmark(Section):
    """A test set that is a benchmark of the Hub: `.eval_results/` of the pack names it."""

    test_set: str
    """Name of the test set."""
    dataset: str
    """Id of the Hub's dataset, such as hf-audio/open-asr-leaderboard."""
    task_id: str = "default"
    """Task of that dataset."""
    metric: str = "wer"
    """Which value of metrics.json."""


class PackModel(Section):
    """`pack_model`: the folder of the trained model that can be published."""

    pack_dir: Folder
    """Where the pack is written."""
    title: str | None = None
    """Of the model card; the experiment's name where left out."""
    description: str = ""
    """What a stranger should know of the model: Markdown, the first section of the card."""
    language: list[str] = Field(default_factory=list)
    """ISO 639 codes of the languages that it recognises, such as [en]."""
    licence: str = "other"
    """Of the weights: an identifier of the Hub's list, such as apache-2.0 or cc-by-4.0."""
    licence_file: str | None = None
    """The text of the licence, a file of the recipe; it becomes LICENSE of the pack."""
    data: str = ""
    """What the model was trained on, and where that comes from: Markdown."""
    dataset: str | None = None
    """Name of the corpus in the card's results; the recipe's where left out."""
    benchmarks: list[Benchmark] = Field(default_factory=list)
    limits: str = ""
    """What the model is not for: Markdown."""
    tags: list[str] = Field(default_factory=list)
    """Further tags of the card."""
    checkpoint: str = "averaged.safetensors"
    """The weights, a safetensors file in `exp_dir`."""
    code: list[str] = Field(default_factory=list)
    """Files of the recipe, such as src/model.py, that the model needs; then it loads with trust_code=True only."""
    onnx: Onnx = Field(default_factory=Onnx)


class Upload(Section):
    """`upload_model` and `upload_demo`: where on a Hub, and how. The token comes from HF_TOKEN or the Hub's login."""

    repo: str | None = None
    """`owner/name` on the Hub; without one, nothing is uploaded."""
    private: bool = True
    """Of a repository that the stage has to make; one that is public is then refused."""
    endpoint: str | None = None
    """Address of another Hub than huggingface.co."""
    revision: str = "main"
    """The branch to commit to."""
    commit_message: str | None = None
    delete_patterns: list[str] = Field(default_factory=list)
    """Files of the repository that are deleted where the pack has none of that name, such as ["*.bin"]."""
    dry_run: bool = False
    """Only show what would change."""
    retries: int = Field(default=5, ge=0)
    """How often to try again after 429, a server's fault or a broken connection."""
    timeout_seconds: PositiveFloat = 30.0
    """Of one request without an answer."""


class PackDemo(Section):
    """`pack_demo`: the folder of a web app for the packed model."""

    pack_dir: Folder
    """Where the app is written."""
    title: str | None = None
    """The model's where left out."""
    description: str = ""
    """Markdown above the app."""
    emoji: str = "🎙️"
    """Of the Space's card."""
    examples: list[str] = Field(default_factory=list)
    """Audio files to try, copied into the demo."""
    max_seconds: PositiveFloat = 60.0
    """Longer audio is refused."""


class PublicationConfig(Section):
    """`publication_config`: pack_model, upload_model, pack_demo and upload_demo read it."""

    exp_tag: str = "default"
    exp_dir: Folder | None = None
    """The training's directory."""
    data_dir: Folder | None = None
    recipe_dir: str = "."
    """Where the recipe's code is."""
    inference_dir: Folder | None = None
    """Where infer and measure wrote: the results of the card."""
    model: Target | None = None
    """What turns speech into text, and with which decoder; that of the inference config where left out."""
    pack_model: PackModel
    upload_model: Upload = Field(default_factory=Upload)
    pack_demo: PackDemo | None = None
    upload_demo: Upload = Field(default_factory=Upload)

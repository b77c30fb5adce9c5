"""Speech recognition's half of a pack: what may be in one, what pack_model puts there, what `espnet3.load` makes of it.

`espnet3.packs.tasks` finds `PACKING` here. What is heavy is imported by the methods, because reading a pack imports
this module everywhere, in an image without numpy too.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from espnet3.errors import ConfigError, DataError
from espnet3.packs.meta import WEIGHTS
from espnet3.packs.pack import Pack
from espnet3.systems.asr.onnx_files import BACKENDS, VARIANTS
from espnet3.systems.base.packing import BasePacking, CardText, Experiment

if TYPE_CHECKING:
    from espnet3.systems.asr.transcriber import Backend, SpeechToText

_DATA = "espnet3.components.data"
_ASR = "espnet3.systems.asr"
_RECOGNISER = f"{_ASR}.inference.Recogniser"
_GREEDY = f"{_ASR}.decoding.greedy.GreedyDecoder"
_NGRAM = f"{_ASR}.decoding.ngram.WordNgram"
_OF_PLACE = ("exp_dir", "checkpoint", "device", "pack_dir", "variant", "num_threads")
"""Settings of a recogniser that say where it runs."""


class ASRPacking(BasePacking):
    """A pack that turns speech into text."""

    task = "automatic-speech-recognition"
    parts = ("features", "tokenizer", "preprocessor", "model", "recogniser")
    allowed = frozenset(
        {
            f"{_DATA}.features.LogMel",
            f"{_DATA}.tokenizer.CharTokenizer",
            f"{_DATA}.tokenizer.SentencePieceTokenizer",
            f"{_DATA}.lexicon.LexiconTokenizer",
            f"{_ASR}.preprocessor.SpeechTextPreprocessor",
            f"{_ASR}.models.bilstm.BiLSTMCTC",
            f"{_ASR}.models.conformer_ctc.ConformerCTC",
            f"{_ASR}.models.joint.ConformerJoint",
            _RECOGNISER,
            _GREEDY,
            f"{_ASR}.decoding.prefix_beam.PrefixBeamDecoder",
            f"{_ASR}.decoding.joint_beam.JointBeamDecoder",
            f"{_ASR}.decoding.rescore.AuxiliaryRescorer",
            _NGRAM,
        }
    )
    file_keys = frozenset({"path", "arpa", "manifest", "lexicon"})
    backends = BACKENDS
    origins: ClassVar = {"recogniser": "publication_config.model"}

    def build(self, pack: Pack, backend: str, device: str) -> "SpeechToText":
        """The packed model as what turns speech into text."""
        from espnet3.systems.asr.transcriber import SpeechToText

        return SpeechToText(pack.meta, _recogniser(pack, backend, device))

    def config(self, experiment: Experiment, pack: Path) -> dict[str, Any]:
        """Out of the training config the parts that inference builds, out of the inference config the decoder."""
        from espnet3.systems.base.kept_files import preprocessor_parts
        from espnet3.systems.base.pack_files import with_own_files

        training = experiment.training
        names = [*preprocessor_parts(training), "preprocessor", "model"]
        if missing := [name for name in self.parts if name not in (*names, "recogniser")]:
            raise ConfigError(
                f"training_config.preprocessor uses no {' and no '.join(missing)}, and a pack is a model that turns "
                "speech into text. Name what is missing, or override pack_model in a System of another kind."
            )
        parts = {name: with_own_files(training[name], pack, name) for name in names}
        with TemporaryDirectory() as made:
            recogniser = _with_arpa(_as_packed(experiment), Path(made, "ngram.arpa"))
            return {**parts, "recogniser": with_own_files(recogniser, pack, "decoder")}

    def try_pack(self, experiment: Experiment, pack: Path) -> dict[str, Any]:
        """Transcribe as the card tells to, and export to ONNX where that is asked for."""
        from espnet3.systems.asr.pack_trial import try_pack

        return try_pack(experiment, pack)

    def card(self) -> CardText:
        """See `pack_card`."""
        from espnet3.systems.asr.pack_card import CARD

        return CARD

    def about(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Which decoder the scores are of."""
        return {"decoder": config["recogniser"]["decoder"]["_target_"]}

    def scored_weights(self, experiment: Experiment) -> Path:
        """What infer decoded with, which may be an ONNX copy of a pack."""
        model = experiment.settings.model or {}
        if "pack_dir" not in model:
            return super().scored_weights(experiment)
        # What the float32 model recognises was held to torch when it was packed; 8 bits are other weights.
        name = VARIANTS["int8"] if model.get("variant") == "int8" else WEIGHTS
        return Path(model["pack_dir"]) / name


def _as_packed(experiment: Experiment) -> dict[str, Any]:
    """The recogniser of an inference config, whichever backend and place the experiment used."""
    recogniser = dict(experiment.settings.model or {"_target_": _RECOGNISER, "decoder": {"_target_": _GREEDY}})
    if recogniser.get("_target_", "").startswith("espnet3."):
        recogniser["_target_"] = _RECOGNISER
    return {key: value for key, value in recogniser.items() if key not in _OF_PLACE}


def _with_arpa(node: Any, file: Path) -> Any:
    """A language model from transcripts becomes one from a file that is made: the transcripts stay here."""
    if isinstance(node, list):
        return [_with_arpa(value, file) for value in node]
    if not isinstance(node, dict):
        return node
    if node.get("_target_") != _NGRAM or not node.get("manifest"):
        return {key: _with_arpa(value, file) for key, value in node.items()}
    from espnet3.config.instantiate import build
    from espnet3.systems.asr.decoding.arpa import write_arpa

    write_arpa(file, build(node, "publication_config.model.decoder"))
    return {"_target_": _NGRAM, "arpa": str(file)}


def _recogniser(pack: Pack, backend: str, device: str) -> "Backend":
    from espnet3.config.instantiate import build, prepare

    config = pack.config()
    recogniser = config["recogniser"]
    try:
        decoder = build(recogniser["decoder"], "recogniser.decoder")
        if backend not in BACKENDS:
            cls: Any = prepare({"_target_": recogniser["_target_"]}, "recogniser").func  # type: ignore[attr-defined]
            built: Backend = cls.from_config(config, pack.file(WEIGHTS), decoder, device)
            return built
    except (ConfigError, DataError) as error:
        raise DataError(f"The model in {pack.dir} cannot be built: {error}") from error
    from espnet3.systems.asr.onnx_inference import OnnxRecogniser
    from espnet3.systems.asr.parts import build_preprocessor

    return OnnxRecogniser.of_parts(build_preprocessor(config), decoder, pack.file(BACKENDS[backend]))


PACKING = ASRPacking()

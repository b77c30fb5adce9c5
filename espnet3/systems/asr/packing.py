"""Speech recognition's half of a pack: what may be in one, and what `espnet3.load` makes of it.

`espnet3.packs.tasks` finds `PACKING` here. What is heavy is imported by the methods, because reading a pack imports
this module everywhere, in an image without numpy too.
"""

from typing import TYPE_CHECKING, Any, ClassVar

from espnet3.errors import ConfigError, DataError
from espnet3.packs.meta import WEIGHTS
from espnet3.packs.pack import Pack
from espnet3.systems.asr.onnx_files import BACKENDS
from espnet3.systems.base.packing import BasePacking

if TYPE_CHECKING:
    from espnet3.systems.asr.transcriber import Recogniser, SpeechToText

_DATA = "espnet3.components.data"
_ASR = "espnet3.systems.asr"


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
            f"{_ASR}.inference.Recogniser",
            f"{_ASR}.decoding.greedy.GreedyDecoder",
            f"{_ASR}.decoding.prefix_beam.PrefixBeamDecoder",
            f"{_ASR}.decoding.joint_beam.JointBeamDecoder",
            f"{_ASR}.decoding.rescore.AuxiliaryRescorer",
            f"{_ASR}.decoding.ngram.WordNgram",
        }
    )
    file_keys = frozenset({"path", "arpa", "manifest", "lexicon"})
    backends: ClassVar = BACKENDS

    def build(self, pack: Pack, backend: str, device: str) -> "SpeechToText":
        """The packed model as what turns speech into text."""
        from espnet3.systems.asr.transcriber import SpeechToText

        return SpeechToText(pack.meta, _recogniser(pack, backend, device))


def _recogniser(pack: Pack, backend: str, device: str) -> "Recogniser":
    from espnet3.config.instantiate import build, prepare

    config = pack.config()
    recogniser = config["recogniser"]
    try:
        decoder = build(recogniser["decoder"], "recogniser.decoder")
        if backend not in BACKENDS:
            cls: Any = prepare({"_target_": recogniser["_target_"]}, "recogniser").func  # type: ignore[attr-defined]
            built: Recogniser = cls.from_config(config, pack.file(WEIGHTS), decoder, device)
            return built
    except (ConfigError, DataError) as error:
        raise DataError(f"The model in {pack.dir} cannot be built: {error}") from error
    from espnet3.systems.asr.onnx_inference import OnnxRecogniser
    from espnet3.systems.asr.parts import build_preprocessor

    return OnnxRecogniser.of_parts(build_preprocessor(config), decoder, pack.file(BACKENDS[backend]))


PACKING = ASRPacking()

"""The config slots of the ASR System: those of the base System and the tokenizer."""

from espnet3.systems.base.config import Target, TrainingConfig


class ASRTrainingConfig(TrainingConfig):
    """`training_config` of speech recognition."""

    tokenizer: Target
    """Text to ids, e.g. espnet3.components.data.tokenizer.CharTokenizer; train_tokenizer makes its file, `path`."""
    auxiliary_tokenizer: Target | None = None
    """Text to the ids that a lower layer is trained to tell, e.g. espnet3.components.data.lexicon.LexiconTokenizer."""

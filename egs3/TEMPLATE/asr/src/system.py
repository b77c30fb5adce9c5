"""This recipe's System: the ASR System, and the stages that are this recipe's own."""

from espnet3.systems.asr.system import ASRSystem


class RecipeSystem(ASRSystem):
    """A method added here is a stage; add its name to `DEFAULT_STAGES` in run.py too."""

"""`StageSpec`, where Systems import it from; it lives in `espnet3.pipeline`, which runs and plans stages."""

from espnet3.pipeline.spec import StageSpec

__all__ = ["StageSpec"]

"""`StageSpec`, where Systems import it from; it lives in `espnet3.utils`, whose modules run and plan stages."""

from espnet3.pipeline.spec import StageSpec

__all__ = ["StageSpec"]

"""`StageSpec`, where Systems import it from; it lives below, in `espnet3.utils`, for the modules that run and plan stages."""

from espnet3.utils.stage_spec import StageSpec

__all__ = ["StageSpec"]

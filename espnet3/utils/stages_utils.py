"""`run_stages`, where the interface has it; it lives in `espnet3.pipeline.run`."""

from espnet3.pipeline.run import run_stages

__all__ = ["run_stages"]

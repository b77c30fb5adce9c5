"""An experiment and its pack."""

from tests.packs.fixtures import experiment, trained

__all__ = ["experiment", "trained"]

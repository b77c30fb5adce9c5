"""An experiment and its pack, a Hub on loopback, and a guard that nothing goes elsewhere."""

from tests.hub.fixtures import alone, hub
from tests.packs.fixtures import experiment, pack, trained

__all__ = ["alone", "experiment", "hub", "pack", "trained"]

"""A Hub on loopback for every test here, a guard that nothing goes elsewhere, and an experiment and its pack."""

from tests.hub.fixtures import alone, hub, other_hub
from tests.packs.fixtures import experiment, trained

__all__ = ["alone", "experiment", "hub", "other_hub", "trained"]

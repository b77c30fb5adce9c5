"""A Hub on loopback for every test here, and a guard that nothing goes elsewhere."""

from tests.hub.fixtures import alone, hub, other_hub

__all__ = ["alone", "hub", "other_hub"]

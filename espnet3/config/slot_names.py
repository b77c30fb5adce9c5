"""The names of the config slots that every System has: `slots` loads them, the pipeline reads parts of them."""

SLOTS = ("training_config", "inference_config", "metrics_config", "publication_config")
"""The config slots of every System, in the order in which values are handed down."""

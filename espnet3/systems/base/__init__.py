"""The base System and the default work of its stages."""

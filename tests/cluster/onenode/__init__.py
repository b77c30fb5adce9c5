"""A real Kubernetes of one node, for tests: built from pinned Go modules, run as root, without Docker or a registry.

`make cluster` and `make cluster-down` call `__main__`; the cluster tests use what they brought up.
It knows nothing of ESPnet3, its chart or its images: those are the tests' matter.
"""

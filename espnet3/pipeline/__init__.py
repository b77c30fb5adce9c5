"""Which stage runs, and why: what a stage declares, what it depends on, whether it is done, and running it.

`spec` is the declaration, `fingerprint` what a stage depends on, `done` its record, `plan` the decision, `run` the
execution. What a stage does is in `systems`.
"""

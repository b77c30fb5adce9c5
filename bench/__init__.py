"""Benchmarks: `make bench` prints what the machine does beside what is asked of it, as a table and as JSON.

Figures are asked for on two cores. They are measured here and never in a timed test, because machines are noisy; a miss
is shown, and is not a failure. The AN4 recipe takes part where ESPNET3_AN4_ARCHIVE names its archive.
"""

"""Which stage runs, and why: what a stage declares, what it depends on, whether it is done, and running it."""

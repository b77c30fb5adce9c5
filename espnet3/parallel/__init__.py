"""Spreading work over processes and containers: what to run (`provider`), and running it (`runner`)."""

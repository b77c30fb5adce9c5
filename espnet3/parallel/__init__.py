"""Spreading work over processes and containers: what to run (`provider`), and running it (`runner`).

Inference and statistics use it. A shard gives the same bytes wherever it runs, so the number of shards is free.
"""

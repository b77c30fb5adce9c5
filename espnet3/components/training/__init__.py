"""The training loop and its parts: batches, optimization, checkpoints, distributed runs, reports.

`loop` is the way in; a training that is stopped at any moment goes on from its last checkpoint to the same bits.
"""

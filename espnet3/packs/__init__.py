"""The format of packed models and its reader, `espnet3.load`, which runs no code of a pack and knows no task.

What is of a task is `PACKING` of the module `packing` in its package below `espnet3.systems`.
"""

"""What the stages of a task do, bound to configs by a System.

`base` has the nine stages that all tasks share, `asr` is speech recognition; another task is a folder next to it.
"""

"""From a recipe's YAML to checked settings: compose and resolve the slots, check them, instantiate what they name.

`compose` and `slots` read, `conversion` makes values what their readers take, `checks` and `targets` find what is
wrong, each with file and line, `instantiate` builds objects from `_target_`; all of them ask `kinds` which values are
taken. What a stage's settings mean is not known here: a System brings its models.
"""

"""The base System and the default work of its stages, one file a stage.

`system` binds stage methods to configs, `stage_specs` says what each stage depends on and leaves, `config` which
settings it takes. A task's System overrides what differs.
"""

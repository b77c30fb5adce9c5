"""The ASR models, one a file; each is named by `model._target_`."""

"""Metrics of speech recognition, named by `_target_` in conf/metrics.yaml."""

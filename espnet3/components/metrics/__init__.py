"""Scores of hypotheses against references: what metrics of every System share."""

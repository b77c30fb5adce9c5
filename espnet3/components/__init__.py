"""Pieces that Systems share: data, modeling, training, metrics."""

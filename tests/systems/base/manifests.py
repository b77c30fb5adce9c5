"""A dataset module for the infer stage's tests."""

from espnet3.components.data.dataset import ManifestDataset as Dataset

__all__ = ["Dataset"]

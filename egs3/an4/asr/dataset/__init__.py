"""The AN4 recipe's dataset module: what `data_src` finds."""

from espnet3.components.data.dataset import ManifestDataset as Dataset

from .builder import An4Builder as DatasetBuilder

__all__ = ["Dataset", "DatasetBuilder"]

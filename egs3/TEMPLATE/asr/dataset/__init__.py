"""The recipe's dataset module, which `data_src` finds: how to prepare the corpus, and how to read it."""

from espnet3.components.data.dataset import ManifestDataset as Dataset

from .builder import RecipeBuilder as DatasetBuilder

__all__ = ["Dataset", "DatasetBuilder"]

"""The toy recipe, before and after its first run."""

from tests.recipe.toy_fixtures import finished, finished_once, recipe

__all__ = ["finished", "finished_once", "recipe"]

"""`parse_args` and `main`, where a recipe's run.py imports them from; they live in `espnet3.recipe.cli`."""

from espnet3.recipe.cli import Args, main, parse_args

__all__ = ["Args", "main", "parse_args"]

"""Parts that Systems share: data, modeling, training, metrics and charts.

They know neither task nor stage: a System's stages put them together, and a recipe's YAML names them by `_target_`.
"""

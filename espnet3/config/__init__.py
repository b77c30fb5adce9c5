"""From a recipe's YAML to checked settings: compose and resolve the slots, check them, instantiate what they name."""

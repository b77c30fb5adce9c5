"""What every stage needs and no task knows: configs, recipes, stages, logs, fingerprints, files."""

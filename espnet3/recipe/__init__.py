"""What a recipe and a run of it are: its own code, its run config, and the command line of its run.py."""

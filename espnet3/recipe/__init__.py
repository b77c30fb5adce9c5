"""What a recipe and a run of it are: its own code, its run config, and the command line of its run.py.

`prepare` makes a run of what was asked, for run.py, the containers and the workflow generator alike. The run config is
the one file with which a container runs a stage.
"""

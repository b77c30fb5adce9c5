"""What runs inside the builds: installing, slimming torch, testing it. Standard library alone, for nothing else is
there yet."""

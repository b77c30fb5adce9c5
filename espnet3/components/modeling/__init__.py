"""Layers that models are made of. All of it is torch."""

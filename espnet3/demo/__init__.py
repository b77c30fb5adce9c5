"""Packing a demo; comes with publishing."""

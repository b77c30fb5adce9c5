"""Facades: the names that the interface and recipes use, handed on; nothing else lives here."""

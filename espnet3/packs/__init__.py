"""The format of packed models and its reader, which runs no code of a pack."""

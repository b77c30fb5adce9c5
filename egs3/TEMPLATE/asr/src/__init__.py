"""What this recipe alone needs: its System, and classes that its configs name by `_target_: src.…`."""

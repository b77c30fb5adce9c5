"""Systems: what the stages of a task do."""

"""Sound files as they are, whatever their headers say: where the sound lies in each container, and its samples."""

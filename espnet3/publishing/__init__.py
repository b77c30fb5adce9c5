"""The Hub: the card of a model, what is private, what differs, upload and download. Nothing else speaks to it."""

"""Packs of trained models and the Hub: making, checking, loading, uploading. Nothing else imports huggingface_hub."""

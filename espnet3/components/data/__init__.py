"""From audio and transcripts to batches: manifests, features, augmentation, tokenizers, statistics. No torch."""

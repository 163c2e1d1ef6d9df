"""Cached pictures and their embeddings: which there are, and which are alike."""

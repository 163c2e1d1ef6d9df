"""Redact secrets in sessions, by pattern and by pointer."""

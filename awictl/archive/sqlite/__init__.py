"""The archive in an SQLite file, for the embedded mode."""

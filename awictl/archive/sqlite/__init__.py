"""The archive in an SQLite file, for embedded mode."""

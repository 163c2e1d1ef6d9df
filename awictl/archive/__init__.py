"""Archives: where sessions are kept after they have left Redis, in MongoDB or in an SQLite file."""

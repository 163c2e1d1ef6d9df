"""Live sessions in MongoDB."""

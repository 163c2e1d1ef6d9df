"""Create, read, update, end and restore sessions."""

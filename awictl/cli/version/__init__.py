"""`awictl version`."""

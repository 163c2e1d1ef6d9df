"""`awictl help`."""

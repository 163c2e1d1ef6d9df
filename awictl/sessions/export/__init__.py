"""Export sessions to a file, and import them from one."""

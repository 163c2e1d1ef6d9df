"""`awictl top`: all live sessions, refreshed."""

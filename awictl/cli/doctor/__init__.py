"""`awictl doctor`: checks of the server, the data and the archive, and repairs."""

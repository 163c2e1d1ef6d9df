"""`awictl demo`: the life of a session on the embedded server."""

"""`awictl serve`: the HTTP API."""

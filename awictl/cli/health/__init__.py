"""`awictl health`: whether Redis and the archive answer."""

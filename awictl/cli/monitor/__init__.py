"""`awictl monitor`: the commands that clients run on the keys of AWI."""

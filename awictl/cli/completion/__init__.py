"""`awictl completion`, and the values that the scripts ask for."""

"""`awictl ui`: the web inspector."""

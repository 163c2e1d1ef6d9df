"""`awictl media`: cached pictures and their embeddings."""

#: The commands, in the order of the help.
COMMANDS = ("put", "show", "list", "delete", "similar")

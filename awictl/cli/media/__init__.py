"""`awictl media`: cached pictures and their embeddings."""

#: The commands, in the order of the help.
COMMANDS = ("put", "list", "show", "similar", "delete")

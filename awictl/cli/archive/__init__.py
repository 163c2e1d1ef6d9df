"""`awictl archive`: where ended sessions are kept."""

#: The commands, in the order of the help.
COMMANDS = ("sweep", "list", "show", "stats", "export", "restore", "migrate")

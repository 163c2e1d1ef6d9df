"""`awictl session`: live sessions."""

#: The commands, in the order of the help.
COMMANDS = ("create", "apply", "touch", "end", "watch", "list", "show", "diff", "history")

"""`awictl embedded`: the private server of this user."""

#: The commands, in the order of the help.
COMMANDS = ("start", "status", "stop")

"""`awictl keys`: the keys that belong to AWI."""

#: The commands, in the order of the help.
COMMANDS = ("list", "ttl", "stats")

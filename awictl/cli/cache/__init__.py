"""`awictl cache`: the cached results of queries."""

#: The commands, in the order of the help.
COMMANDS = ("key", "list", "show", "put", "delete", "diagnose")

"""`awictl bench`: measure the user's own servers, sessions and pages."""

#: The commands, in the order of the help.
COMMANDS = ("latency", "tokens")

"""`awictl config`: the settings in use."""

#: The commands, in the order of the help.
COMMANDS = ("show",)

"""`awictl config`: the settings in use, and the file with the profiles."""

#: The commands, in the order of the help.
COMMANDS = ("show", "profiles", "path", "init")

"""`awictl session`: live sessions."""

#: The commands, in the order of the help.
COMMANDS = (
    "create",
    "list",
    "show",
    "apply",
    "diff",
    "history",
    "compare",
    "fork",
    "verify",
    "watch",
    "replay",
    "touch",
    "end",
    "export",
    "import",
)

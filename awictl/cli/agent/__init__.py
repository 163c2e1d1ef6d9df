"""`awictl agent`: agents, their API keys and their sessions."""

#: The commands, in the order of the help.
COMMANDS = ("register", "list", "show", "usage", "suspend", "resume", "revoke", "session", "audit", "events")

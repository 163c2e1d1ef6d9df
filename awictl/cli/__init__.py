"""The command line: Typer over the manager, one file a noun."""

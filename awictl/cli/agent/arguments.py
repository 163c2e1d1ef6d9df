"""Arguments that several commands of this folder have in common."""

from typing import Annotated

import typer

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="Agent id, or name.", show_default=False)]

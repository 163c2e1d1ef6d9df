"""Arguments that several commands of this folder have in common."""

from typing import Annotated

import typer

from ..framework.parsers import plain_id

Agent = Annotated[
    str, typer.Argument(metavar="AGENT", help="Id or name of the agent.", show_default=False, callback=plain_id)
]

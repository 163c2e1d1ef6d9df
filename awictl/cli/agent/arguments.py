"""Arguments that several commands of this folder have in common."""

from typing import Annotated

import typer

from ..framework.parsers import plain_id, plain_ids

Agent = Annotated[
    str, typer.Argument(metavar="AGENT", help="Id or name of the agent.", show_default=False, callback=plain_id)
]
Agents = Annotated[
    list[str],
    typer.Argument(
        metavar="AGENT...",
        help="Ids or names of agents, or - to read them from stdin, one per line.",
        show_default=False,
        callback=plain_ids,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would change.")]

"""Arguments and options that several commands of this folder have in common."""

from typing import Annotated

import typer

Pattern = Annotated[
    str | None,
    typer.Argument(metavar="[PATTERN]", help="Only keys that match: * ? [abc], as in Redis.", show_default=False),
]
Everything = Annotated[bool, typer.Option("--all", help="Other keys too, that have nothing to do with AWI.")]
Sample = Annotated[
    int | None,
    typer.Option("--sample", min=1, metavar="N", help="Look at about so many keys.  [default: 100,000]"),
]

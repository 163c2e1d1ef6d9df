"""Arguments and options that several commands of this folder have in common."""

from typing import Annotated

from ..framework.params import argument, option

Pattern = Annotated[
    str | None,
    argument(
        metavar="[PATTERN]", help="Only keys that match this pattern: * ? [abc], as in Redis.", show_default=False
    ),
]
Everything = Annotated[bool, option("--all", help="Include keys that do not belong to AWI.")]
Sample = Annotated[
    int | None,
    option("--sample", min=1, metavar="N", help="Read about N keys; count the others.  [default: 100,000]"),
]

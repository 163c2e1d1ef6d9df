"""Arguments and options that several commands have in common."""

from typing import Annotated

import typer

from .parsers import check_finite, parse_interval, parse_ttl, plain_id, plain_ids

SessionId = Annotated[str, typer.Argument(metavar="ID", help="Session id.", show_default=False, callback=plain_id)]
SessionIds = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...", help="Session ids, or - to read them from stdin.", show_default=False, callback=plain_ids
    ),
]
Rate = Annotated[
    float | None,
    typer.Option("--rate", min=1, metavar="N", callback=check_finite, help="Scan at most N keys per second."),
]
_INTERVAL = typer.Option(
    "--interval", parser=parse_interval, metavar="DURATION", help="Polling interval, such as 500ms or 2s."
)
Interval = Annotated[float, _INTERVAL]
MaybeInterval = Annotated[float | None, _INTERVAL]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        min=0.05,
        metavar="SECONDS",
        callback=check_finite,
        help="Stop after this many seconds.  [default: at Ctrl-C]",
    ),
]
Ttl = Annotated[
    int | None,
    typer.Option(
        "--ttl",
        parser=parse_ttl,
        metavar="DURATION",
        help="TTL to set, such as 2h; the next update sets the usual one again.  [default: SESSION_TTL_MINUTES]",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

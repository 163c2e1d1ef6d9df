"""Arguments and options that several commands have in common."""

from typing import Annotated, Any

from .params import argument, option
from .parsers import check_finite, parse_interval, parse_moment, parse_ttl, plain_id, plain_ids


def time_option(name: str, text: str) -> Any:
    """An option for a point in time. `text`: its help."""
    return option(name, parser=parse_moment, metavar="TIME", help=text)


SessionId = Annotated[str, argument(metavar="ID", help="Session id.", show_default=False, callback=plain_id)]
SessionIds = Annotated[
    list[str],
    argument(
        metavar="ID...", help="Session ids, or - to read them from stdin.", show_default=False, callback=plain_ids
    ),
]
Rate = Annotated[
    float | None,
    option("--rate", min=1, metavar="N", callback=check_finite, help="Scan at most N keys per second."),
]
_INTERVAL = option(
    "--interval", parser=parse_interval, metavar="DURATION", help="Polling interval, such as 500ms or 2s."
)
Interval = Annotated[float, _INTERVAL]
MaybeInterval = Annotated[float | None, _INTERVAL]
Seconds = Annotated[
    float | None,
    option(
        "--seconds",
        min=0.05,
        metavar="SECONDS",
        callback=check_finite,
        help="Stop after this many seconds.  [default: at Ctrl-C]",
    ),
]
Ttl = Annotated[
    int | None,
    option(
        "--ttl",
        parser=parse_ttl,
        metavar="DURATION",
        help="TTL to set, such as 2h; the next update sets the usual one again.  [default: SESSION_TTL_MINUTES]",
    ),
]
NoFallback = Annotated[
    bool, option("--no-fallback", help="Fail while Redis is unreachable, instead of going on in MongoDB.")
]
Redact = Annotated[
    list[str] | None,
    option(
        "--redact",
        metavar="WHAT",
        help="Replace secrets: `default` (all known kinds), one kind such as `email`, or a JSON pointer such as "
        "/page_state/filters/q; may be repeated.",
    ),
]
Yes = Annotated[bool, option("--yes", "-y", help="Do not ask for confirmation.")]

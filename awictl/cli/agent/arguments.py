"""Arguments that several commands of this folder have in common."""

from datetime import datetime
from typing import Annotated

from ..framework.common_options import time_option
from ..framework.params import argument, option
from ..framework.parsers import plain_id, plain_ids

Agent = Annotated[
    str, argument(metavar="AGENT", help="Id or name of the agent.", show_default=False, callback=plain_id)
]
Agents = Annotated[
    list[str],
    argument(
        metavar="AGENT...",
        help="Ids or names of agents, or - to read them from stdin, one per line.",
        show_default=False,
        callback=plain_ids,
    ),
]
DryRun = Annotated[bool, option("--dry-run", help="Only show what would change.")]
Since = Annotated[
    datetime | None, time_option("--since", "Only those at or after this time, such as 2026-11-23, or 7d ago.")
]
AuditLimit = Annotated[int, option("--limit", min=1, max=1_000_000, metavar="N", help="Maximum number of rows.")]

"""Arguments and options that several commands of this folder have in common."""

from typing import Annotated, Any

from ..framework.input import read_json
from ..framework.params import argument, option

_JSON = "a JSON object, @FILE, or - for stdin."
Filters = Annotated[
    str | None, option("--filters", metavar="JSON", help=f"Filters of the query: {_JSON}", show_default=False)
]
Sort = Annotated[
    str | None, option("--sort", metavar="JSON", help=f"Sort order of the query: {_JSON}", show_default=False)
]
Keys = Annotated[
    list[str],
    argument(metavar="KEY...", help="Cache keys, or - to read them from stdin.", show_default=False),
]


def read_query(filters: str | None, sort: str | None, limit: int) -> tuple[Any, Any]:
    """Filters and sort order as given, of at most `limit` bytes each; an empty object for each that is not given."""
    return (
        read_json(filters, "--filters", limit) if filters is not None else {},
        read_json(sort, "--sort", limit) if sort is not None else {},
    )

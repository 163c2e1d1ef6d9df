"""The data of the page `sessions`: one list of all sessions, which is kept up to date."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ...agents.secret import mask_whole_secrets
from ...errors import InvalidInput
from ...sessions.where.grammar import parse
from ..http.events import event_stream
from ..http.responses import redacted_value
from ..inspector import Inspector, inspector_of
from ..listing.listings import Listings
from ..listing.redacted_rows import redacted_rows
from ..listing.rows import SORTS
from ..listing.source import SessionSource
from ..listing.table import RowOrder
from ..listing.window import Window, WindowQuery

#: Maximum number of rows of a window.
MOST_ROWS = 200
#: Maximum number of characters of an expression: parsing it blocks all pages.
_MOST_WHERE = 4_096
#: Maximum place of the first row.
_MOST_OFFSET = 10**9


async def events(request: Request) -> Response:
    """A part of the list, again whenever something in it has changed."""
    where = request.query_params.get("where", "").strip() or None
    if where is not None:
        if len(where) > _MOST_WHERE:
            raise InvalidInput(f"longer than {_MOST_WHERE:,} characters; use awictl session list --where")
        parse(where)
    archived = _choice(request, "archived", ("1", "0")) == "1"
    sort = _choice(request, "sort", tuple(SORTS))
    order = RowOrder(sort, _choice(request, "order", ("desc", "asc")) == "desc")
    query = WindowQuery(
        order, _number(request, "offset", 0, 0, _MOST_OFFSET), _number(request, "limit", 100, 1, MOST_ROWS)
    )

    async def windows() -> AsyncGenerator[tuple[str, Any], None]:
        async with (
            inspector_of(request).shared(_listings).use(where, archived=archived) as listing,
            aclosing(listing.windows(query)) as found,
        ):
            async for window in found:
                yield "window", _value(request, window)

    return event_stream(request, windows(), redacted=True)


def _value(request: Request, window: Window) -> dict[str, Any]:
    """A window as JSON values, without secrets."""
    value, redaction = window.value(), inspector_of(request).options.redaction
    if redaction is None:
        return value
    texts = {name: value[name] for name in ("degraded", "problem")}
    return {**value, **redacted_value(texts, redaction), "rows": redacted_rows(value["rows"], redaction)}


def _listings(inspector: Inspector) -> Listings:
    """The lists of all pages."""
    redaction = inspector.options.redaction

    def clean(text: str) -> str:
        masked = mask_whole_secrets(text)
        return str(redacted_value(masked, redaction)) if redaction is not None else masked

    listings = Listings(SessionSource(inspector.manager, inspector.options.rate, clean))
    inspector.background.push_async_callback(listings.close)
    return listings


def _choice(request: Request, name: str, choices: tuple[str, ...]) -> str:
    """A parameter that is one of these, the first by default. Raises InvalidInput."""
    value = request.query_params.get(name) or choices[0]
    if value not in choices:
        raise InvalidInput(f"{name} must be one of {', '.join(choices)}")
    return value


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    """A parameter that is a whole number. Raises InvalidInput."""
    text = request.query_params.get(name) or str(default)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and least <= int(text) <= most):
        raise InvalidInput(f"{name} must be a whole number from {least} to {most:,}")
    return int(text)


ROUTES = [Route("/api/sessions/events", events)]

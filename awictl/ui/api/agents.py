"""The data of the page `agents`."""

from __future__ import annotations

from starlette.routing import Route

ROUTES: list[Route] = []

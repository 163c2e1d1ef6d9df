"""The data of the page `health`."""

from __future__ import annotations

from starlette.routing import Route

ROUTES: list[Route] = []

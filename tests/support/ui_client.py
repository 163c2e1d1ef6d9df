"""Requests to the API of the inspector, without a socket and without its access control."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from awictl import Settings
from awictl.ui.app import create_app
from awictl.ui.inspector import Inspector
from awictl.ui.options import InspectorOptions


@asynccontextmanager
async def inspected(settings: Settings, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an inspector that is open while the block runs."""
    inspector = Inspector(settings, InspectorOptions(**options))
    transport = httpx.ASGITransport(create_app(inspector))
    async with inspector.opened(), httpx.AsyncClient(transport=transport, base_url="http://ui") as client:
        yield client

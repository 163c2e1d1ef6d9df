"""Requests and streams of the inspector whose clients leave, do not read, or ask only for the head."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from support.documents import document, put
from support.ui_client import streamed
from support.valkey import ValkeyServer

from awictl import Settings
from awictl.document.byte_layout import encode
from awictl.ui.api import session
from awictl.ui.app import create_app
from awictl.ui.http.abandoned import EndAbandoned
from awictl.ui.inspector import Inspector
from awictl.ui.options import InspectorOptions


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[tuple[Inspector, httpx.AsyncClient]]:
    inspector = Inspector(settings, InspectorOptions())
    transport = httpx.ASGITransport(create_app(inspector))
    async with inspector.opened(), httpx.AsyncClient(transport=transport, base_url="http://ui") as client:
        yield inspector, client


@pytest.mark.parametrize("path", ["/api/sessions/events", "/api/sessions/sess_a/events"])
async def test_a_head_request_opens_no_stream(settings: Settings, path: str) -> None:
    async with running(settings) as (inspector, client):
        response = await client.head(path)
        assert (response.status_code, response.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert inspector.streams == 0


async def test_streams_whose_clients_leave_are_closed(valkey: ValkeyServer, settings: Settings) -> None:
    put(valkey, encode(document([0])), "sess_a")
    async with running(settings) as (inspector, client):
        for path in ("/api/sessions/events", "/api/sessions/sess_a/events"):
            async with streamed(client, path) as stream:
                await stream.next()
                assert inspector.streams == 1
            assert inspector.streams == 0


async def test_a_request_ends_when_its_client_leaves(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def whole(_: Any, session_id: str) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with running(settings) as (inspector, client):
        monkeypatch.setattr(type(inspector.manager.time_travel), "whole", whole)
        async with asyncio.timeout(60), streamed(client, "/api/sessions/sess_a"):
            await began.wait()
        assert ended.is_set()
        assert not inspector.shared(session.payload_turns).locked()


async def test_an_error_of_a_request_is_not_hidden() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("a bug")

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(ValueError, match="a bug"):
        await EndAbandoned(app)({"type": "http"}, receive, receive)  # type: ignore[arg-type]

"""What a request costs while Redis is away, in requests to MongoDB. Counted, not timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable

from support.mongo import DATABASE, MongoServer
from support.proxy import hanging_writes
from support.valkey import free_port

from awictl import Settings, StateManager


async def test_requests_to_mongodb(mongo: MongoServer) -> None:
    with hanging_writes(mongo.port) as proxy:
        proxy.hanging = False
        settings = Settings(redis_host="127.0.0.1", redis_port=free_port(), mongodb_uri=proxy.uri(DATABASE))
        async with StateManager.open(settings) as manager:

            async def costs(work: Awaitable[object]) -> Counter[bytes]:
                before = proxy.requests.copy()
                await work
                return Counter({name: (proxy.requests - before)[name] for name in (b"find", b"update", b"insert")})

            async def update() -> None:
                visit = await manager.agent_sessions.get_or_create("agent", "Agent")
                assert (await manager.apply(visit.session_id, {"n": 1}, base=visit.base)).degraded

            session_id = (await manager.agent_sessions.get_or_create("agent", "Agent")).session_id
            await update()
            read = await costs(manager.agent_sessions.get_or_create("agent", "Agent"))
            assert read == {b"find": 1, b"update": 0, b"insert": 0}
            assert await costs(manager.get_action_history(session_id, journaled=True)) == {
                b"find": 1,
                b"update": 0,
                b"insert": 0,
            }
            written = await costs(update())
            assert written == {b"find": 1, b"update": 1, b"insert": 0}

"""Servers with something of everything that the pages show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from awictl import Permission, StateManager
from awictl.document import keys

from .archives import saved, snapshot, trimmed
from .documents import APP_FILES, plain, put
from .ui_story import a_post, story
from .valkey import ValkeyServer

APP, APP_CUT = "sess_fa98b181260642d9bf08786c6737970a", "sess_app_cut"
LIVE, OTHER, IDLE, CORRUPT = "sess_live", "sess_other_try", "sess_idle", "sess_corrupt"
ENDED, WITH_GAP = "sess_ended", "sess_with_gap"


@dataclass(frozen=True)
class Scene:
    """What a test may ask for by its id."""

    agent: str
    cache_key: str

    @property
    def paths(self) -> dict[str, str]:
        """A name → the path of a page, for every kind of page and what may be on it."""
        return {
            "sessions": "/sessions",
            "session": f"/sessions/{LIVE}",
            "step": f"/sessions/{LIVE}#t=13",
            "archived": f"/sessions/{ENDED}",
            "gap": f"/sessions/{WITH_GAP}",
            "corrupt": f"/sessions/{CORRUPT}",
            "missing": "/sessions/sess_missing",
            "compare": f"/compare?a={LIVE}&b={OTHER}",
            "compare-form": "/compare",
            "agents": "/agents",
            "agent": f"/agents/{self.agent}",
            "caches": "/caches",
            "cache": f"/caches/{self.cache_key}",
            "health": "/health",
            "nothing": "/nothing",
        }


async def fill(manager: StateManager, valkey: ValkeyServer) -> Scene:
    """Store a scene: recorded sessions of the app, agents at work, ended and damaged sessions, queries, images.

    `manager`: one with an archive.
    """
    now = datetime.now(UTC)
    made = await manager.agents.register("BrowserUseAgent", permissions=[Permission.READ, Permission.WRITE])
    await manager.agents.register("Price watcher", description="asks for prices every night")
    agent = made.key.agent_id
    put(valkey, APP_FILES[2].read_bytes(), APP, 1500)
    put(valkey, APP_FILES[3].read_bytes().replace(APP.encode(), APP_CUT.encode()), APP_CUT, 300)
    at_work = [
        (LIVE, agent, "BrowserUseAgent", 5, {"seed": 1, "count": 44}, 1795),
        (OTHER, agent, "BrowserUseAgent", 900, {"seed": 2, "count": 30}, 900),
        (IDLE, "69639c869d21a04f2375aa8b", "Comment moderator", 1500, {"seed": 3, "count": 7}, 130),
        (ENDED, "6b03e3a15c752fa9a5b94777", "Price watcher", 60, {"seed": 4, "count": 25}, 1800),
    ]
    for session_id, agent_id, name, ago, life, seconds in at_work:
        put(valkey, story(session_id, agent_id, name, now - timedelta(seconds=ago), **life), session_id, seconds)
    valkey.raw.set(keys.AGENT_PREFIX + agent, LIVE, ex=1795)
    put(valkey, b'{"session_id":"sess_corrupt","agent_id":', CORRUPT, 700)
    await manager.end_session(ENDED)
    # the app cut the oldest 40 actions before the first snapshot, and 20 more before the second
    for updates, left in ((120, 40), (190, 150)):
        document, _ = trimmed(updates, left, WITH_GAP)
        await saved(manager.required_archive(), snapshot({**document, "agent_name": "Night crawler"}, now=now))
    posts = [a_post(number) for number in range(12)]
    cache_key = await manager.cache_query_results(LIVE, {"tags": ["awi", "agents"]}, {"createdAt": -1}, posts)
    for number in range(3):
        await manager.media.put(
            f"post_{number}",
            thumbnail_url=f"/thumbs/{number}.jpg",
            full_url=f"/images/{number}.jpg",
            embedding=[0.5] * 8,
        )
    assert plain(valkey.raw.get(keys.SESSION_PREFIX + LIVE))["query_cache"]["active_cache_key"]
    return Scene(agent, cache_key)

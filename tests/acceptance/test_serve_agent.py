"""An agent that was written for the app uses `awictl serve`: it registers, reads, updates, and ends its session."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from support.cli import LIMIT_SECONDS, Cli
from support.mongo import MongoServer
from support.serving import Server, serving

from awictl.document.schema import SESSION_END

API = "/api/agent"


class BrowserUseAgent:
    """A client that only uses what the app has, too."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    @classmethod
    @contextmanager
    def at(cls, server: Server, secret: str) -> Iterator[BrowserUseAgent]:
        """A client with an agent's key."""
        with httpx.Client(base_url=server.url, headers={"X-Agent-API-Key": secret}, timeout=LIMIT_SECONDS) as http:
            yield cls(http)

    def get(self, path: str) -> dict[str, object]:
        answer = self.http.get(f"{API}/session/{path}")
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found

    def update(self, action: str, delta: dict[str, object], **entry: object) -> dict[str, object]:
        answer = self.http.post(f"{API}/session/state", json={"delta": delta, "action": action, **entry})
        assert answer.status_code == 200, answer.text
        found: dict[str, object] = answer.json()
        return found


def run_session(agent: BrowserUseAgent) -> str:
    """A session with three pages and a failure. Returns its id."""
    state = agent.get("state")
    session_id = str(state["sessionId"])
    assert state["success"] is True and state["statistics"]["totalActions"] == 0  # type: ignore[index]
    assert agent.get("diff")["success"] is False
    for page in (1, 2, 3):
        pagination = {"cursor": page, "total_pages": 3, "page_size": 10, "total_items": 30}
        items = [{"id": f"post_{page}{n}", "title": f"Post {n}"} for n in range(10)]
        agent.update(
            "list_posts" if page == 1 else "next_page",
            {"page_state": {"pagination": pagination, "visible_items": items}},
            input={"page": page},
            observation=f"Retrieved 10 posts (page {page})",
        )
    agent.update("get_post", {}, input={"id": "post_9"}, success=False, observation="Failed to retrieve post")
    state = agent.get("state")
    assert state["sessionId"] == session_id
    assert state["currentState"]["pagination"]["cursor"] == 3 and state["currentState"]["visibleItems"] == 10  # type: ignore[index]
    assert state["statistics"]["successRate"] == "75.0%"  # type: ignore[index]
    diff = agent.get("diff")
    assert diff["last_action"]["action"] == "get_post"  # type: ignore[index]
    history = agent.get("history?limit=2&offset=1")
    assert [one["input"] for one in history["trajectory"]] == [{"page": 3}, {"page": 2}]  # type: ignore[attr-defined]
    assert history["total"] == 5
    assert agent.get("cache")["cached"] is False
    return session_id


def test_on_redis_and_mongodb(awictl: Cli, mongo: MongoServer) -> None:
    user = awictl.having(MONGODB_URI=mongo.uri)
    permissions = ("--register-permission", "read", "--register-permission", "write")
    with serving(user, "--allow-register", *permissions, "--access-log") as server:
        body = {"name": "BrowserUseAgent", "description": "x test agent", "permissions": ["read", "write"]}
        answer = httpx.post(f"{server.url}{API}/register", json=body, timeout=LIMIT_SECONDS)
        assert answer.status_code == 201
        secret = answer.json()["agent"]["apiKey"]
        with BrowserUseAgent.at(server, secret) as agent:
            session_id = run_session(agent)
            assert user.ok("agent", "session", answer.json()["agent"]["id"]).json["session_id"] == session_id
            ended = agent.http.post(f"{API}/session/end").json()
            assert (ended["sessionId"], ended["archivedToMongoDB"]) == (session_id, True)
            assert agent.http.post(f"{API}/session/end").status_code == 404
    assert server.process.returncode == 0
    rows = server.rows()
    assert secret not in server.log() and session_id not in server.log()
    assert [row["status"] for row in rows if row["logger"] == "awictl.access"][-2:] == [200, 404]
    shown = user.ok("archive", "show", session_id).json
    assert [one["action"] for one in shown["history"]["actions"]] == [
        "session_start",
        "list_posts",
        "next_page",
        "next_page",
        "get_post",
        SESSION_END,
    ]
    [found] = mongo.sessions.find()
    assert found["agentName"] == "BrowserUseAgent" and found["statistics"]["failedActions"] == 1


def test_with_a_key_of_the_app(awictl: Cli, mongo: MongoServer) -> None:
    mongo.put("agentapikeys", "mongo_agentapikey.ejson")
    with serving(awictl.having(MONGODB_URI=mongo.uri), "--workers", "2") as server:
        with BrowserUseAgent.at(server, "agent_" + "0" * 32) as agent:
            session_id = run_session(agent)
        assert (
            httpx.get(f"{server.url}/metrics", timeout=LIMIT_SECONDS).text.count('route="/api/agent/session/state"') > 0
        )
    assert server.process.returncode == 0
    assert awictl.ok("session", "show", session_id).json["agent_id"] == "6b03e3a15c752fa9a5b94777"


def test_embedded(laptop: Cli) -> None:
    """Without Redis and MongoDB, as in the README."""
    secret = laptop.ok("--embedded", "agent", "register", "bot", "-o", "raw", "-q").text.strip()
    with serving(laptop, "--embedded") as server:
        with BrowserUseAgent.at(server, secret) as agent:
            session_id = run_session(agent)
            ended = agent.http.post(f"{API}/session/end").json()
        assert (ended["archived"], ended["archivedToMongoDB"]) == (True, False)
    assert laptop.ok("--embedded", "archive", "show", session_id).json["session_id"] == session_id


def test_on_mongodb_alone(user: Cli, mongo: MongoServer) -> None:
    """Two workers without Redis: they share sessions and the counts of requests."""
    live = user.having(AWI_USE_REDIS="false", MONGODB_URI=mongo.uri, REDIS_HOST="127.0.0.1", REDIS_PORT="1")
    secret = live.ok("agent", "register", "bot", "-o", "raw", "-q").text.strip()
    with serving(live, "--workers", "2", "--rate-limit", "9") as server:
        with BrowserUseAgent.at(server, secret) as agent:
            session_id = run_session(agent)
            ended = agent.http.post(f"{API}/session/end").json()
            assert (ended["sessionId"], ended["archivedToMongoDB"]) == (session_id, True)
            assert agent.get("state")["sessionId"] != session_id, "a new session"
            statuses = [agent.http.get(f"{API}/session/state").status_code for _ in range(9)]
            assert statuses == sorted(statuses) and statuses.count(429) == 3, "six and three before"
        health = httpx.get(f"{server.url}/api/health", timeout=LIMIT_SECONDS).json()
        assert health["success"] and health["services"] == {"redis": "disabled", "mongodb": "connected"}
        assert (health["breaker"], health["degraded"]) == ("disabled", False)
    assert server.process.returncode == 0 and "Redis" not in server.log()
    assert len(live.ok("session", "list").rows) == 1
    actions = live.ok("archive", "show", session_id).json["history"]["actions"]
    assert [one["action"] for one in actions][-2:] == ["get_post", SESSION_END]

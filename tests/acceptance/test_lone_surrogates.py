"""An agent id with a lone surrogate, as JavaScript can write it: its session is like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.cli import Cli
from support.documents import agent_key, compact, document, put, session_key
from support.mongo import MongoServer
from support.valkey import ValkeyServer

AGENT = rb"\ud800bot"
#: The key of its mapping: Node.js encodes a lone surrogate as U+FFFD.
MAPPING = agent_key("\ufffdbot")


@pytest.fixture(params=["sqlite", "mongo"])
def user(request: pytest.FixtureRequest, awictl: Cli, mongo: MongoServer, tmp_path: Path) -> Cli:
    url = f"sqlite:///{tmp_path}/archive.db" if request.param == "sqlite" else mongo.uri
    return awictl.having(AWI_ARCHIVE_URL=url)


@pytest.fixture
def sessions(valkey: ValkeyServer) -> list[str]:
    """Three sessions; the agent id of the second has a lone surrogate."""
    ids = ["sess_a", "sess_b", "sess_c"]
    for name in ids:
        raw = compact(document([0], session_id=name))
        agent_id = document([0])["agent_id"].encode()
        put(valkey, raw.replace(agent_id, AGENT) if name == "sess_b" else raw, name, seconds=50)
    valkey.raw.set(MAPPING, "sess_b", ex=50)
    return ids


def test_touch_extends_the_mapping(user: Cli, valkey: ValkeyServer, sessions: list[str]) -> None:
    assert [row["session_id"] for row in user.ok("session", "touch", *sessions).rows] == sessions
    assert all(valkey.raw.ttl(key) > 1000 for key in (*map(session_key, sessions), MAPPING))


def test_apply_updates_the_session(user: Cli, valkey: ValkeyServer, sessions: list[str]) -> None:
    assert user.ok("session", "apply", "sess_b", '{"n":1}', "--action", "filter").json["n"] == 1
    assert valkey.raw.ttl(MAPPING) > 1000
    assert AGENT in (valkey.raw.get(session_key("sess_b")) or b"")


@pytest.mark.parametrize("more", [[], ["--discard", "--yes"]], ids=["archive", "discard"])
def test_end_ends_all(user: Cli, valkey: ValkeyServer, sessions: list[str], more: list[str]) -> None:
    assert [row["session_id"] for row in user.ok("session", "end", *sessions, *more).rows] == sessions
    assert valkey.raw.keys() == []
    if not more:
        assert AGENT in user.ok("archive", "show", "sess_b", "-o", "raw").out
        assert user.ok("archive", "restore", "sess_b").rows[0]["agent_session"] == "sess_b"
        assert valkey.raw.get(MAPPING) == b"sess_b"

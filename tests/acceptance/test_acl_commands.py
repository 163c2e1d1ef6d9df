"""Every command, as the users of Redis that the guides describe: they have just the permissions that it needs."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.topologies import Cluster, Member, Sentinels
from support.valkey import ValkeyServer

from awictl.cli.main import COMMANDS

DOCS = Path(__file__).parents[2] / "docs"
#: Commands that do not use Redis, or have their own tests: full screens, servers, the embedded server, two stores.
WITHOUT_REDIS = {
    *("serve", "session watch", "demo", "embedded", "top", "completion", "help", "version", "config", "cache key"),
    *("bench tokens", "migrate", "ui"),
}
#: Commands that use MongoDB or the archive only.
ARCHIVE_ONLY = {
    *(f"agent {verb}" for verb in ("suspend", "resume", "revoke", "audit", "events")),
    *(f"archive {verb}" for verb in ("list", "show", "stats", "export", "migrate")),
}
#: Commands that need a permission that the guide names for them.
MORE = {"monitor"}

READS = """\
session list
session show S
session diff S
session history S
session replay S
session verify S
session compare S S
session export S
agent list
agent show agent-acl
agent usage
agent session agent-acl
cache list
cache show 879870e3b305b9f50961e6ab28b8707f
cache diagnose --filters {}
media list
media show one
media similar one
keys list
keys ttl
keys stats
health
doctor
"""
WRITES = """\
session apply S {"page_state":{"route":"/search"}} --action view
session touch S
cache put [{"id":1}] --filters {} --session S
media put one --thumbnail https://cdn/1s.jpg --full https://cdn/1.jpg --embedding a.json
media put two --thumbnail https://cdn/2s.jpg --full https://cdn/2.jpg --embedding b.json
archive sweep --margin 3h
agent register agent-acl
bench latency --seconds 0.1
session fork S
session export S -f s.jsonl
session import s.jsonl --as-new
"""
ENDINGS = """\
media delete two --yes
cache delete 879870e3b305b9f50961e6ab28b8707f --yes
doctor --fix --yes
session end S
archive restore S
session end S
"""
CREATE = ("session", "create", "--agent", "agent-acl", "-o", "ids")


def commands(text: str, session_id: str = "S") -> list[list[str]]:
    return [[session_id if word == "S" else word for word in line.split(" ")] for line in text.splitlines()]


def acl_lines(page: str, user: str) -> list[list[str]]:
    """The commands of a guide that set up a user."""
    lines = (line.split() for line in (DOCS / page).read_text().splitlines() if line.startswith("ACL SETUSER "))
    return [line for line in lines if line[2] == user]


def created(user: Cli) -> str:
    (user.home / "a.json").write_text("[1, 2]")
    (user.home / "b.json").write_text("[2, 1]")
    return user.ok(*CREATE).text.strip()


def run_all(user: Cli, session_id: str, *texts: str) -> None:
    for words in commands("".join(texts), session_id):
        result = user(*words)
        # doctor exits with 1 if it found something
        assert result.code == 0 or (words[0] == "doctor" and result.code == 1), (words, result)
        assert "permission" not in result.err, (words, result)


def denied(servers: Iterable[Any]) -> set[str]:
    """The commands that servers have refused to any user."""
    return {row["object"] for server in servers for row in server.acl_log()}


#: What awictl tries, and does without: the guide says what for.
TRIED = {"config|get", "acl|whoami", "config", "acl"}


def test_all_commands_are_here() -> None:
    ran = [list(CREATE), *commands(READS + WRITES + ENDINGS)]
    known = {" ".join(words[:2]) for words in ran} | {words[0] for words in ran if words[0] in ("doctor", "health")}
    known |= WITHOUT_REDIS | ARCHIVE_ONLY | MORE
    for noun in COMMANDS:
        try:
            verbs = importlib.import_module(f"awictl.cli.{noun}").COMMANDS
        except (ImportError, AttributeError):
            verbs = [""]
        for verb in verbs:
            assert noun in known or f"{noun} {verb}".strip() in known, f"try {noun} {verb} as the users of the guide"


@pytest.fixture
def users(valkey: ValkeyServer) -> Iterator[ValkeyServer]:
    """The server of this worker with the users of the guide."""
    names = ["awictl", "awictl-reader"]
    for name in names:
        for line in acl_lines("operating.md", name):
            valkey.raw.execute_command(*line)
    valkey.raw.acl_log_reset()
    yield valkey
    valkey.raw.acl_deluser(*names)


def test_every_command_on_one_server(sqlite_user: Cli, users: ValkeyServer) -> None:
    full = sqlite_user.having(REDIS_USERNAME="awictl", REDIS_PASSWORD="PASSWORD")
    reader = full.having(REDIS_USERNAME="awictl-reader")
    session_id = created(full)
    run_all(full, session_id, WRITES, READS)
    run_all(reader, session_id, READS)
    run_all(full, session_id, ENDINGS)
    assert denied([users.raw]) <= TRIED
    reader("session", "create", "--agent", "b").error(4, "permission")


def allow(members: list[Member], lines: list[list[str]]) -> None:
    for member in members:
        for line in lines:
            member.raw.execute_command(*line)
        member.raw.acl_log_reset()


def extra(place: str) -> list[list[str]]:
    """The commands of the guide to topologies that give further permissions on some kind of server."""
    _, _, block = (DOCS / "topologies.md").read_text().partition(f"{place}:\n\n```text\n")
    return [line.split() for line in block.partition("```")[0].splitlines()]


def as_user(user: Cli, url: str, **env: str) -> Cli:
    url = url.replace("://", "://awictl:PASSWORD@", 1)
    return user.having(REDIS_URL=url, AWI_ARCHIVE_URL="sqlite:///archive.db", **env)


def test_every_command_on_a_cluster(user: Cli, cluster: Cluster) -> None:
    members = cluster.members
    allow(members, [*acl_lines("operating.md", "awictl"), *extra("On each node of a cluster")])
    full = as_user(user, cluster.url())
    try:
        run_all(full, created(full), WRITES, READS, ENDINGS)
        assert denied(one.raw for one in members) <= TRIED
    finally:
        for member in members:
            member.raw.acl_deluser("awictl")


def test_every_command_with_sentinels(user: Cli, sentinels: Sentinels) -> None:
    allow(sentinels.servers, [*acl_lines("operating.md", "awictl"), *extra("On the primary and the replicas")])
    allow(sentinels.sentinels, extra("On each sentinel"))
    full = as_user(user, sentinels.url(), REDIS_SENTINEL_USERNAME="awictl", REDIS_SENTINEL_PASSWORD="PASSWORD")
    try:
        run_all(full, created(full), WRITES, READS, ENDINGS)
        assert denied(one.raw for one in sentinels.members) <= TRIED
    finally:
        for member in sentinels.members:
            member.raw.acl_deluser("awictl")

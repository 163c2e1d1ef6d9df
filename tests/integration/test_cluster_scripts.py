"""Each script with several keys does on a cluster what it does on one server, with its keys in different slots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from support.topologies import Cluster
from support.valkey import ValkeyServer

from awictl.document import keys
from awictl.store.redis.script import Argument, Script
from awictl.store.redis.server import Server, connect
from awictl.store.redis.slots import key_slot
from awictl.store.redis.split import SPLIT

Step = tuple[str, Sequence[str], Sequence[Argument]]

ID, OTHER, AGENT = "sess_1", "sess_2", "agent-1"
SESSION, DIFF, MAPPING = keys.session_key(ID), keys.diff_key(ID), keys.agent_key(AGENT)
COUNTER = keys.rate_limit_key(AGENT, "read")
ANOTHER = keys.session_key(OTHER)
HEAD = '{"session_id":"sess_1"}'
NAMES = [SESSION, DIFF, MAPPING, COUNTER, ANOTHER, "x"]
COMMIT = (HEAD, len(HEAD), HEAD, len(HEAD), len(HEAD), "\n!", 60_000, "", '{"n":1}', 50_000, ID, 0)
SHA = "0000000000000000000000000000000000000000"
SET = "SET"

#: By script, what is called one after the other; SET stores a string first.
STEPS: dict[str, list[Step]] = {
    "commit": [
        ("commit", [SESSION, DIFF, MAPPING], COMMIT),
        (SET, [SESSION], [HEAD]),
        (SET, [MAPPING], [ID]),
        ("commit", [SESSION, DIFF, MAPPING], COMMIT),
        ("commit", [SESSION, DIFF, MAPPING], COMMIT),
        (SET, [MAPPING], [OTHER]),
        ("commit", [SESSION, DIFF, MAPPING], (HEAD, len(HEAD) + 2, "!", 1, 2, "?", 0, "", "{}", 50_000, ID, 0)),
    ],
    "create": [
        ("create", [SESSION, MAPPING], ["{}", 60_000, ID]),
        ("create", [SESSION, MAPPING], ["{2}", 60_000, ID]),
        ("create", [ANOTHER, MAPPING], ["{}", 60_000, OTHER]),
    ],
    "restore": [
        ("restore", [SESSION, MAPPING], ["{}", 60_000, ID]),
        ("restore", [SESSION, MAPPING], ["{}", 60_000, ID]),
        ("restore", [SESSION, MAPPING], ["{2}", 60_000, ID]),
        ("restore", [ANOTHER, MAPPING], ["{}", 60_000, OTHER]),
        ("restore", [ANOTHER], ["{}", 60_000, OTHER]),
    ],
    "put": [
        ("put", [SESSION, DIFF, MAPPING], ["{}", 60_000, ID, 60_000, "d", 50_000]),
        ("put", [SESSION, DIFF, MAPPING], ["{}", 0, ID, 70_000, "", 0]),
        ("put", [SESSION, DIFF, MAPPING], ["{2}", 60_000, ID, 60_000, "e", 50_000]),
        ("put", [ANOTHER, DIFF, MAPPING], ["{}", 60_000, OTHER, 60_000, "", 0]),
        ("put", [ANOTHER, DIFF], ["{}", 50_000, OTHER, 60_000, "f", 50_000]),
    ],
    "delete": [
        *((SET, [name], [value]) for name, value in ((SESSION, "{}"), (DIFF, "d"), (MAPPING, ID))),
        ("delete", [SESSION, DIFF, MAPPING], [SHA, ID]),
        ("delete", [SESSION, DIFF, MAPPING], ["", OTHER]),
        ("delete", [SESSION, DIFF, MAPPING], ["", ID]),
        (SET, [SESSION], ["{}"]),
        ("delete", [SESSION, DIFF], ["bf21a9e8fbc5a3846fb05b4fa0859e0917b2202f", ID]),
    ],
    "touch": [
        ("touch", [SESSION, MAPPING], [60_000, ID, 100]),
        (SET, [SESSION], ["{}"]),
        (SET, [MAPPING], [ID]),
        ("touch", [SESSION, MAPPING], [60_000, ID, 100]),
        ("touch", [SESSION], [60_000, ID, 100]),
    ],
    "read_for_request": [
        ("read_for_request", [MAPPING, COUNTER, "AWI:SESSION:"], ["", 60_000, 2, 90_000, 10, 1000, 5]),
        (SET, [SESSION], [HEAD + "\n123456"]),
        (SET, [MAPPING], [ID]),
        (SET, [DIFF], ["d" * 40_000]),
        ("read_for_request", [MAPPING, COUNTER, SESSION, DIFF], [ID, 60_000, 2, 90_000, 10, 1000, 5]),
        ("read_for_request", [MAPPING, COUNTER, SESSION], [ID, 60_000, 0, 90_000, 10, 1000, 5]),
        ("read_for_request", [MAPPING, COUNTER, SESSION], [ID, 60_000, 2, 90_000, 10, 1000, 5]),
        ("read_for_request", [MAPPING, COUNTER, ANOTHER], [OTHER, 60_000, 0, 90_000, 10, 1000, 5]),
    ],
    "create_if_absent": [
        ("create_if_absent", [SESSION, MAPPING], ["{}", 60_000, ID, ""]),
        ("create_if_absent", [ANOTHER, MAPPING, SESSION], ["{}", 60_000, OTHER, ID]),
        ("create_if_absent", [ANOTHER, MAPPING], ["{}", 60_000, OTHER, ""]),
        ("create_if_absent", [ANOTHER, MAPPING], ["{}", 60_000, OTHER, ID]),
    ],
    "remove_orphan": [
        (SET, [DIFF], ["d"]),
        (SET, [SESSION], ["{}"]),
        (SET, [MAPPING], [OTHER]),
        ("remove_orphan", [DIFF, SESSION], ["", -1]),
        ("remove_orphan", [MAPPING, ANOTHER], [ID, len(ID)]),
        ("remove_orphan", [MAPPING, ANOTHER], [OTHER, len(OTHER)]),
        ("remove_orphan", [DIFF, DIFF], ["", -1]),
    ],
    "create_mapping": [
        ("create_mapping", [MAPPING, SESSION], [ID]),
        (SET, [SESSION], ["{}"]),
        ("create_mapping", [MAPPING, SESSION], [ID]),
        ("restore", [SESSION], ["{}", 60_000, ID]),
        ("create_mapping", [MAPPING, SESSION], [ID]),
        ("create_mapping", [MAPPING, SESSION], [OTHER]),
    ],
    "compare_and_set": [
        ("compare_and_set", [SESSION, DIFF, MAPPING], [60_000, 2, "", 1, "a", "b"]),
        (SET, [MAPPING], ["m"]),
        ("compare_and_set", [SESSION, DIFF, MAPPING], [60_000, 2, "", 0, "a", "b"]),
        ("compare_and_set", [SESSION], [60_000, 1, "a", 1, "c"]),
    ],
    "key_info": [
        (SET, [SESSION], [HEAD + "\n123456"]),
        (SET, [DIFF], ["d"]),
        ("key_info", NAMES, [40, 2]),
    ],
    "key_versions": [
        ("restore", [SESSION], ["{}", 60_000, ID]),
        (SET, [DIFF], ["d"]),
        ("key_versions", NAMES, []),
    ],
    "session_versions": [
        ("restore", [SESSION], ["{}", 60_000, ID]),
        (SET, [DIFF], ["d"]),
        ("session_versions", NAMES, []),
    ],
}


@pytest.fixture
async def both(cluster: Cluster, valkey: ValkeyServer) -> AsyncIterator[tuple[Server, Server]]:
    """One server, and a cluster."""
    servers = connect(valkey.settings()), connect(cluster.settings())
    yield servers
    for server in servers:
        await server.close()


def rounded(value: Any) -> Any:
    """Numbers that depend on the time are compared roughly."""
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return round(value, -4) if type(value) is int and value > 10_000 else value


async def step(server: Server, script: str, names: Sequence[str], arguments: Sequence[Argument]) -> Any:
    if script == SET:
        return await server.execute(("SET", names[0], *arguments))
    replies = await server.run(Script(script), (names, arguments), then=[("EXISTS", names[0])])
    assert len(replies) == 2
    return rounded(replies)


async def state(server: Server) -> list[Any]:
    commands: list[tuple[str, str]] = []
    for name in NAMES:
        commands += [("GET", name), ("PTTL", name)]
    return [rounded(one) for one in await server.execute(*commands)]


def test_the_keys_are_in_different_slots() -> None:
    assert len({key_slot(name) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("script", sorted(SPLIT.keys() - {"finish_end"}))
async def test_a_script_on_a_cluster_does_what_it_does_on_one_server(both: tuple[Server, Server], script: str) -> None:
    for number, (name, names, arguments) in enumerate(STEPS[script]):
        one, many = [await step(server, name, names, arguments) for server in both]
        assert one == many, (number, name)
        one, many = [await state(server) for server in both]
        assert one == many, (number, name)


async def test_what_an_end_does_to_the_derived_keys(both: tuple[Server, Server]) -> None:
    for server in both:
        ending = keys.ending_key(ID) if server.router.slots else keys.ENDING_KEY
        await server.execute(("SET", SESSION, "{}"), ("SET", DIFF, "d"), ("SET", MAPPING, ID))
        assert await server.run(Script("take"), ([SESSION, ending], [ID, 1000, ""])) == [[1, b"{}"]]
        names = [SESSION, ending, DIFF, MAPPING]
        assert await server.run(Script("finish_end"), (names, [ID, SHA])) == [0]
        assert await server.execute(("GET", DIFF), ("GET", MAPPING)) == [b"d", ID.encode()]
        digest = "bf21a9e8fbc5a3846fb05b4fa0859e0917b2202f"
        assert await server.run(Script("finish_end"), (names, [ID, digest])) == [1]
        assert await server.execute(*(("EXISTS", name) for name in names)) == [0, 0, 0, 0]


async def test_of_many_that_create_a_session_at_once_one_is_left(cluster: Cluster) -> None:
    servers = [connect(cluster.settings()) for _ in range(4)]
    ids = [f"sess_{number}" for number in range(20)]
    outcomes = await asyncio.gather(
        *(
            servers[number % 4].run(
                Script("create_if_absent"), ([keys.session_key(one), MAPPING], [f"{{{one}}}", 60_000, one, ""])
            )
            for number, one in enumerate(ids)
        )
    )
    created = [one for one, [reply] in zip(ids, outcomes, strict=True) if reply == [1, b""]]
    for server in servers:
        await server.close()
    left = [name for master in cluster.masters for name in master.raw.keys("AWI:SESSION:*")]
    assert len(created) == 1 and left == [keys.session_key(created[0]).encode()]
    owner = cluster.owner(key_slot(MAPPING))
    assert owner.raw.get(MAPPING) == created[0].encode()


async def test_derived_keys_are_written_before_a_server_is_closed(cluster: Cluster) -> None:
    server = connect(cluster.settings())
    await server.execute(("SET", SESSION, HEAD))
    await server.run(Script("commit"), ([SESSION, DIFF, MAPPING], COMMIT))
    await server.close()
    assert cluster.owner(key_slot(DIFF)).raw.get(DIFF) == b'{"n":1}'


async def test_a_frozen_master_of_derived_keys_does_not_hold_up_an_update(cluster: Cluster) -> None:
    owner = cluster.owner(key_slot(SESSION))
    frozen = next(one for one in cluster.masters if one is not owner)
    diff = next(name for n in range(1000) if cluster.owner(key_slot(name := f"AWI:DIFF:{n}")) is frozen)
    server = connect(cluster.settings(timeout=30.0))
    await server.execute(("SET", SESSION, HEAD), ("GET", diff))
    cluster.pause(frozen)
    try:
        reply = await server.run(Script("commit"), ([SESSION, diff, MAPPING], COMMIT))
        assert reply == [[b"ok", b""]]
        await server.close()
        assert frozen.suspended
    finally:
        cluster.resume(frozen)

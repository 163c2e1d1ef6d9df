"""ConnectionLimits: how many connections a worker accepts, and which one is closed for a new one."""

from __future__ import annotations

import logging
import pickle
import resource

import pytest

from awictl.store.redis.node import MAX_CONNECTIONS
from awictl.util.http.connections import (
    LOG_SECONDS,
    MAX_CLIENTS,
    MONGO_CONNECTIONS,
    RESERVED_DESCRIPTORS,
    Admission,
    ConnectionLimits,
    max_connections,
)


class Connection:
    """A connection that is idle until a test says otherwise."""

    def __init__(self) -> None:
        self.idle = True
        self.closed = False

    def close_idle(self) -> None:
        self.closed = True


@pytest.mark.parametrize("descriptors", [64, 128, 200, 256, 400, 512, 1_024, 4_096])
def test_there_are_descriptors_for_all_connections(descriptors: int) -> None:
    def needed(count: int) -> int:
        return RESERVED_DESCRIPTORS + count + min(count, MAX_CONNECTIONS) + min(count, MONGO_CONNECTIONS)

    most = max_connections(descriptors, MAX_CONNECTIONS)
    assert needed(most) <= descriptors < needed(most + 1) or most == 8


def test_very_few_and_very_many_descriptors() -> None:
    assert max_connections(10, MAX_CONNECTIONS) == 8
    assert max_connections(1 << 20, 64) == max_connections(resource.RLIM_INFINITY, 64) == MAX_CLIENTS


def test_the_longest_idle_connection_of_the_address_is_closed() -> None:
    limits = ConnectionLimits(8)
    mine = [Connection() for _ in range(4)]
    other = Connection()
    assert [limits.admit(one, "192.0.2.1") for one in mine] == [Admission.ADMITTED] * 4
    assert limits.admit(other, "192.0.2.2") is Admission.ADMITTED
    mine[0].idle = False
    limits.responded(mine[1])
    assert limits.admit(Connection(), "192.0.2.1") is Admission.ADMITTED
    assert [one.closed for one in (*mine, other)] == [False, False, True, False, False] and len(limits) == 5
    for one in mine:
        one.idle = False
    limits.remove(mine[2])  # when it is lost: it was removed before
    assert len(limits) == 5
    busy = Connection()
    busy.idle = False
    assert limits.admit(busy, "192.0.2.1") is Admission.ADMITTED, "the idle one that came last is closed"
    assert limits.admit(Connection(), "192.0.2.1") is Admission.TOO_MANY_OF_ADDRESS
    limits.remove(busy)
    assert limits.admit(Connection(), "192.0.2.1") is Admission.ADMITTED


def test_the_total() -> None:
    limits = ConnectionLimits(4)
    connections = [Connection() for _ in range(4)]
    for number, one in enumerate(connections):
        one.idle = False
        assert limits.admit(one, f"192.0.2.{number}") is Admission.ADMITTED
    assert limits.admit(Connection(), "192.0.2.9") is Admission.TOO_MANY
    connections[2].idle = True
    assert limits.admit(Connection(), "192.0.2.9") is Admission.ADMITTED and connections[2].closed
    assert len(limits) == 4


def test_networks_of_ipv6_and_proxies() -> None:
    limits = ConnectionLimits(4, ["10.0.0.0/8", "2001:db8:1::1"])
    busy = [Connection() for _ in range(4)]
    for one in busy:
        one.idle = False
    assert limits.admit(busy[0], "2001:db8::1") is limits.admit(busy[1], "2001:db8::2") is Admission.ADMITTED
    assert limits.admit(Connection(), "2001:db8::3") is Admission.TOO_MANY_OF_ADDRESS
    limits = ConnectionLimits(4, ["10.0.0.0/8", "2001:db8:1::1"])
    assert {limits.admit(one, "10.1.2.3") for one in busy} == {Admission.ADMITTED}
    assert limits.admit(Connection(), "10.1.2.3") is Admission.TOO_MANY
    limits = ConnectionLimits(4, ["10.0.0.0/8", "2001:db8:1::1"])
    assert {limits.admit(one, "2001:db8:1::1") for one in busy} == {Admission.ADMITTED}
    limits = ConnectionLimits(4, ["10.0.0.0/8"])
    assert [limits.admit(one, "") for one in busy[:3]][-1] is Admission.TOO_MANY_OF_ADDRESS


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At most one line per limit and ten seconds, with what happened since the last one."""
    now = 0.0
    limits = ConnectionLimits(2, clock=lambda: now)
    for _ in range(6):
        limits.admit(Connection(), "192.0.2.1")
    now = LOG_SECONDS
    limits.admit(Connection(), "192.0.2.1")
    assert [(vars(one)["closed_idle"], vars(one)["refused"]) for one in caplog.records] == [(1, 0), (5, 0)]
    assert {one.levelno for one in caplog.records} == {logging.WARNING}
    assert vars(caplog.records[0])["address"] == "192.0.2.1"


def test_it_can_be_sent_to_workers() -> None:
    assert pickle.loads(pickle.dumps(ConnectionLimits(7, ["10.0.0.0/8"]))).total == 7  # noqa: S301

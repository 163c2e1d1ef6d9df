"""The parts of a request to a Redis Cluster that go to one master each, and can be sent again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from .cluster_map import HostPort
from .connection import Command
from .replies import ErrorReply, Lost
from .slots import command_slot

#: Commands that change nothing: they need no lease. Scripts may write, as far as is known here.
_READS = frozenset(
    {
        *("ACL", "CLUSTER", "CONFIG", "DBSIZE", "EXISTS", "GET", "GETRANGE", "HGET", "HKEYS", "INFO", "MEMORY", "PING"),
        *("PTTL", "ROLE", "SCAN", "STRLEN", "TIME", "TTL", "TYPE"),
    }
)
_ASKING = ("ASKING",)


class Unit:
    """A command with a key, and the commands without keys after it, which have to follow it on the same connection."""

    __slots__ = ("ask", "at_once", "failure", "first", "keyed", "last", "needs_lease", "slot", "tries")

    def __init__(self, slot: int | None, first: int) -> None:
        self.slot = slot
        #: Positions in the request: of its first command, of the one with the key, and after its last one.
        self.first = self.keyed = first
        self.last = first + 1
        self.needs_lease = False
        #: Where to send it after ASKING, once.
        self.ask: HostPort | None = None
        #: How often it was sent, and whether to send it again without a pause.
        self.tries = 0
        self.at_once = False
        #: Why it was not executed, the last time.
        self.failure: ErrorReply | Lost | None = None


def units_of(commands: Sequence[Command]) -> list[Unit]:
    """The units of a request, in its order."""
    units: list[Unit] = []
    for i, command in enumerate(commands):
        slot = command_slot(command)
        if slot is None and units:
            units[-1].last = i + 1
        elif units and units[-1].slot is None:  # commands without keys before the first one with a key
            units[-1].slot = slot
            units[-1].keyed = i
            units[-1].last = i + 1
        else:
            units.append(Unit(slot, i))
        if command[0] not in _READS:
            units[-1].needs_lease = True
    return units


def request_of(
    units: Sequence[Unit], commands: Sequence[Command]
) -> tuple[Sequence[Command], Iterable[tuple[int, int]]]:
    """The request for units, and for each command its place in `commands` and in the request."""
    if len(units) == 1 and units[0].ask is None:
        [unit] = units
        unit.tries += 1
        return commands[unit.first : unit.last], zip(range(unit.first, unit.last), count())
    request: list[Command] = []
    places: list[tuple[int, int]] = []
    for unit in units:
        unit.tries += 1
        for i in range(unit.first, unit.last):
            if i == unit.keyed and unit.ask is not None:
                request.append(_ASKING)
            places.append((i, len(request)))
            request.append(commands[i])
        unit.ask = None
    return request, places


def mark_failed(units: Sequence[Unit], failure: Lost | ErrorReply, *, at_once: bool = False) -> list[Unit]:
    """Note why units were not executed, and whether to send them again without a pause. Returns them."""
    for unit in units:
        unit.failure = failure
        unit.at_once = at_once
    return list(units)


def failure_of(units: Sequence[Unit], where: str, executed: bool) -> Lost:
    """Why units could not be sent in time."""
    failures = [unit.failure for unit in units if unit.failure is not None]
    lost = next((one for one in failures if isinstance(one, Lost)), None)
    sent = executed or any(isinstance(one, Lost) and one.sent for one in failures)
    if lost is not None:
        again = Lost(
            where,
            f"{lost.where}: {lost.reason}",
            sent=sent,
            timed_out=lost.timed_out,
            opening=lost.opening and not sent,
        )
        again.__cause__ = lost.__cause__
        return again
    if failures:
        return Lost(where, str(failures[0]), sent=sent)
    reason = "a majority of its masters did not confirm in time which node is in charge, so nothing was sent"
    return Lost(where, reason, sent=sent, timed_out=True)

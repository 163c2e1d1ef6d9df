"""A state machine (hypothesis) of one session beside the Express app: any interleaving of their writes.

The result is compared with a model, which knows every action that ever happened, in order, and which of them were in a
snapshot. A snapshot and an end archive what the session has in Redis, a trim what it removes; nothing else does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from awictl import StateManager
from awictl.archive.base import Archived
from awictl.errors import Refused

from .archives import stamp
from .documents import AGENT_ID, APP_ACTIONS, session_key
from .express_app import AppEnd, ExpressApp
from .valkey import ValkeyServer

#: A margin above the TTL: the sweep archives every session.
EVERY_SESSION_MS = 2_000_000
#: AWI_MAX_ACTIONS_PER_SESSION: less than the app keeps.
MAX_ACTIONS = 25
#: Numbers of updates that the app makes in a row: around its limit of 100 actions, from which on its `t` repeats.
BURSTS = [1, 2, 5, 30, 70, 99, 100, 101, 120]


@dataclass
class Line:
    """The trajectory of a session in Redis: the numbers of all its actions, and how many are not in Redis any more."""

    actions: list[int]
    cut: int = 0

    @property
    def kept(self) -> list[int]:
        """The actions that are in Redis."""
        return self.actions[self.cut :]

    def copy(self) -> Line:
        return Line(list(self.actions), self.cut)


@dataclass
class Model:
    """What happened to the session."""

    #: Every action that ever happened; its index is its number, and `places` has its ordinal.
    actions: list[Any] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    #: The session in Redis; None if it is not there.
    live: Line | None = None
    #: The session as the newest snapshot has it; None if there is no snapshot.
    snapshot: Line | None = None
    #: The actions in the archive.
    archived: set[int] = field(default_factory=set)
    #: Those of them that were trimmed since the newest snapshot.
    trimmed: set[int] = field(default_factory=set)
    #: Whether the order of all archived actions is known. It is not if actions were trimmed from one version of the
    #: session and are not part of the version in a snapshot: nothing says which of the two came first.
    ordered: bool = True
    #: Whether the app has archived the session itself.
    saved_by_app: bool = False
    #: Whether awictl ended the session, and the app wrote it back since: until the next snapshot takes awictl's view of
    #: it back, the app cannot save its own document. An update that was in progress during the end cannot be prevented.
    written_back: bool = False

    def happened(self, line: Line, action: Any) -> None:
        """Add an action to a line."""
        line.actions.append(len(self.actions))
        self.actions.append(action)
        self.places.append(len(line.actions) - 1)

    def recorded(self, line: Line, actions: list[Any]) -> None:
        """Add what awictl recorded: the last one of these actions, which a line now keeps; it trims the others."""
        if actions[-1] != self.actions[line.actions[-1]]:
            self.happened(line, actions[-1])
        if len(line.kept) > len(actions):
            self.trim(line, len(actions))

    def trim(self, line: Line, kept: int) -> None:
        """Move all but the newest actions of a line to the archive."""
        others = self.trimmed | set(self.snapshot.kept if self.snapshot is not None else ())
        self.ordered = self.ordered and others <= set(line.actions)
        before, line.cut = line.cut, len(line.actions) - kept
        dropped = line.actions[before : line.cut]
        self.trimmed.update(dropped)
        self.archived.update(dropped)

    def snapshotted(self, line: Line) -> None:
        self.ordered = self.ordered and self.trimmed <= set(line.actions)
        self.trimmed.clear()
        self.written_back = False
        self.snapshot = line.copy()
        self.archived.update(line.kept)

    def name(self, number: int) -> str:
        return str(self.actions[number]["action"])

    @property
    def ended(self) -> bool:
        """Whether the last action in Redis is the end of the session."""
        return self.live is not None and self.name(self.live.actions[-1]) == "session_end"

    def ends(self, line: Line) -> list[int]:
        """The ordinals of the ends of a session: it may have been restored, or written back, after each of them."""
        return [place for place, number in enumerate(line.actions) if self.name(number) == "session_end"]

    def gaps(self) -> list[tuple[int, int]]:
        """The first and the last ordinal of each gap in the archived trajectory."""
        assert self.snapshot is not None
        there = {self.places[number] for number in self.archived}
        missing = [place for place in range(len(self.snapshot.actions)) if place not in there]
        runs = itertools.groupby(enumerate(missing), lambda pair: pair[1] - pair[0])
        return [(found[0][1], found[-1][1]) for found in (list(run) for _, run in runs)]


@dataclass(frozen=True)
class Servers:
    """What the machines of one test share."""

    valkey: ValkeyServer
    manager: StateManager
    app: ExpressApp
    #: Whether the archive is in the database in which the app archives.
    shared: bool
    #: Runs a coroutine of the manager.
    run: Callable[[Awaitable[Any]], Any]
    #: Empties Redis and the archive.
    clear: Callable[[], None]


class ArchiveMachine(RuleBasedStateMachine):
    """One session, and the writes of the app and of awictl to it."""

    servers: ClassVar[Servers]
    _ids = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.session_id = f"sess_{next(self._ids)}"
        self.seconds = itertools.count()
        self.inputs = itertools.count()
        #: What the app has read and is about to write back: the document, and the session at that time.
        self.held: tuple[dict[str, Any], Line] | None = None
        #: What the archive should have, as it was compared last.
        self.compared: tuple[Line, int] | None = None

    # -- the app

    @initialize(by_app=st.booleans())
    def create(self, by_app: bool) -> None:
        if by_app:
            self.servers.app.create(self.session_id, self.now())
        else:
            self.run(self.servers.manager.initialize_session(AGENT_ID, "Agent", session_id=self.session_id))
        self.model.live = Line([])
        self.model.happened(self.model.live, self.stored()[0])

    @precondition(lambda self: self.model.live is not None)
    @rule(count=st.sampled_from(BURSTS), identical=st.booleans())
    def app_updates(self, count: int, identical: bool) -> None:
        """The app updates the session in a row, perhaps with the same action within one millisecond."""
        self.app_reads()
        self.app_writes_back(count, identical)

    @precondition(lambda self: self.model.live is not None)
    @rule()
    def app_reads(self) -> None:
        """The app begins an update."""
        document, live = self.servers.app.read(self.session_id), self.model.live
        assert document is not None and live is not None
        self.held = document, live.copy()

    @precondition(lambda self: self.held is not None)
    @rule(count=st.sampled_from(BURSTS), identical=st.booleans())
    def app_writes_back(self, count: int, identical: bool) -> None:
        """The app completes its updates, whatever happened to the session meanwhile."""
        assert self.held is not None
        (document, line), self.held = self.held, None
        if self.would_cut_end(line, count, APP_ACTIONS):
            return
        same = {"now": self.now(), "input": {"n": next(self.inputs)}}
        for _ in range(count):
            fields = same if identical else {"now": self.now(), "input": {"n": next(self.inputs)}}
            action = self.servers.app.updated(document, action="list_posts", **fields)
            self.model.happened(line, action)
        line.cut = max(line.cut, len(line.actions) - APP_ACTIONS)
        self.servers.app.write(document)
        self.model.written_back = self.model.written_back or self.model.live is None
        self.model.live = line

    @precondition(lambda self: self.model.live is not None)
    @rule()
    def app_ends(self) -> None:
        """The app ends the session. Only names that the caller of awictl chose are a reason for it to fail."""
        assert self.model.live is not None
        own_names = any(self.model.name(number) == "own_name" for number in self.model.live.kept)
        outcome = self.servers.app.end(self.session_id, self.now())
        if own_names:
            assert outcome is AppEnd.INVALID
        elif self.model.saved_by_app:
            assert outcome is AppEnd.DUPLICATE
        elif self.model.written_back and outcome is AppEnd.DUPLICATE:
            assert self.servers.shared and self.model.snapshot is not None
        else:
            assert outcome is AppEnd.SAVED
            self.model.saved_by_app = True
        self.model.live = None

    @precondition(lambda self: self.model.live is not None)
    @rule()
    def expire(self) -> None:
        self.servers.valkey.raw.delete(session_key(self.session_id))
        self.model.live = None

    # -- awictl

    @precondition(lambda self: self.model.live is not None)
    @rule(count=st.integers(1, 3), name=st.sampled_from(["list_posts", "list_posts", "own_name"]))
    def awictl_updates(self, count: int, name: str) -> None:
        live = self.model.live
        assert live is not None
        for _ in range(count):
            if self.would_cut_end(live, 2, MAX_ACTIONS - MAX_ACTIONS // 10):
                return
            entry = {"action": name, "input": {"n": next(self.inputs)}}
            try:
                self.run(self.servers.manager.update_state_with_delta(self.session_id, {}, entry))
            except Refused:
                assert self.model.ended
                return
            self.model.recorded(live, self.stored())

    @rule()
    def sweep(self) -> None:
        """Archive the session as it is; it leaves Redis if it has ended."""
        sweeper = self.servers.manager.sweeper(EVERY_SESSION_MS)
        done = self.run(sweeper.sweep(self.run(sweeper.candidates())))
        assert (done.failed, done.stopped) == ({}, None)
        if self.model.live is not None:
            self.model.snapshotted(self.model.live)
            if self.model.ended:
                self.model.live = None
        if self.model.snapshot is not None:
            found = self.found()
            assert found is not None and found.summary.state.value in self.states()

    @precondition(lambda self: self.may_end())
    @rule()
    def record_end(self) -> None:
        self.run(self.servers.manager.record_end(self.session_id))
        self.end_recorded(self.stored())

    @precondition(lambda self: self.may_end())
    @rule()
    def end(self) -> None:
        self.run(self.servers.manager.end_session(self.session_id))
        found = self.found()
        assert found is not None and found.raw is not None
        self.end_recorded(json.loads(found.raw)["history"]["actions"])
        assert self.model.live is not None
        self.model.snapshotted(self.model.live)
        self.model.live = None

    def would_cut_end(self, line: Line, count: int, kept: int) -> bool:
        """Whether one of several ends would be cut by `count` further actions of which so many are kept.

        A session's own numbers count no more than one end among the actions that were cut.
        """
        ends = self.model.ends(line)
        return len(ends) > 1 and len(line.actions) + count - kept > ends[0]

    def may_end(self) -> bool:
        """Whether the session is live, and its own numbers will still tell its length if another end is recorded."""
        live = self.model.live
        return live is not None and (self.model.ended or all(place >= live.cut for place in self.model.ends(live)))

    def end_recorded(self, actions: list[Any]) -> None:
        assert self.model.live is not None
        self.model.recorded(self.model.live, actions)
        assert self.model.ended

    @precondition(lambda self: self.model.live is None and self.model.snapshot is not None)
    @rule()
    def restore(self) -> None:
        assert self.model.snapshot is not None
        self.run(self.servers.manager.restore_session(self.session_id))
        self.model.live = self.model.snapshot.copy()

    # -- what must hold

    @invariant()
    def redis_is_as_expected(self) -> None:
        """Not a property of awictl only: the model, too, has to be right."""
        live = self.model.live
        if live is None:
            assert self.servers.app.read(self.session_id) is None
        else:
            assert self.stored() == [self.model.actions[number] for number in live.kept]

    @invariant()
    def the_archive_is_complete(self) -> None:
        """Everything that was ever in a snapshot is in the archive, once and in order; the gaps are what never was."""
        state = (self.model.snapshot, len(self.model.archived)) if self.model.snapshot is not None else None
        if state == self.compared:
            return
        self.compared, found = state, self.found()
        assert found is not None and found.raw is not None
        actions = found.document["history"]["actions"]
        expected = [self.model.actions[number] for number in sorted(self.model.archived)]
        if not self.model.ordered:
            actions, expected = sorted(actions, key=str), sorted(expected, key=str)
        assert actions == expected
        assert [tuple(gap) for gap in found.summary.gaps] == self.model.gaps()

    def teardown(self) -> None:
        self.servers.clear()

    def states(self) -> set[str]:
        """The states that the archived session may have after a sweep."""
        assert self.model.snapshot is not None
        if self.model.live is not None:
            return {"live"}
        if (self.model.saved_by_app and self.servers.shared) or self.model.name(
            self.model.snapshot.actions[-1]
        ) == "session_end":
            return {"ended"}
        return {"vanished", "expired"}

    # -- helpers

    def now(self) -> str:
        """A new time, a second later than the last one."""
        return stamp(next(self.seconds))

    def run(self, work: Awaitable[Any]) -> Any:
        return self.servers.run(work)

    def found(self) -> Archived | None:
        found: Archived | None = self.run(self.servers.manager.get_archived_session(self.session_id))
        return found

    def stored(self) -> list[Any]:
        """The actions in Redis."""
        raw = self.servers.valkey.raw.get(session_key(self.session_id))
        assert isinstance(raw, bytes)
        actions: list[Any] = json.loads(raw)["history"]["actions"]
        return actions

"""A state machine (hypothesis) of one session beside the Express app: any interleaving of their writes.

The result is compared with a model of what happened (`archive_model.py`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from awictl import StateManager
from awictl.archive.base import Archived
from awictl.errors import Refused

from .archive_model import Line, Model
from .archives import stamp
from .documents import AGENT_ID, APP_ACTIONS, session_key
from .express_app import AppEnd, ExpressApp
from .valkey import ValkeyServer

#: A margin above the TTL: the sweep archives every session.
EVERY_SESSION_MS = 2_000_000
#: Seconds over which the watcher spreads its work.
WATCH_AGE_SECONDS = 0.001
#: AWI_MAX_ACTIONS_PER_SESSION: less than the app keeps.
MAX_ACTIONS = 25
#: Numbers of updates that the app makes in a row: around its limit of 100 actions, from which on its `t` repeats.
BURSTS = [1, 2, 5, 30, 70, 99, 100, 101, 120]


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
        self.started = datetime.now(UTC)  # awictl has the same clock
        self.seconds = itertools.count()
        self.inputs = itertools.count()
        #: What the app has read and is about to write back: the document, and the session at that time.
        self.held: tuple[dict[str, Any], Line] | None = None
        self.watcher = self.servers.manager.sweeper(EVERY_SESSION_MS).watcher(WATCH_AGE_SECONDS)
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
        self.model.lived_again = self.model.saved_by_app

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

    @rule()
    def watch(self) -> None:
        """A pass of `archive sweep --watch`: a snapshot of the session, if it has changed."""
        self.run(self.watcher.look(asyncio.Event()))
        watched = self.watcher.take()
        assert (watched.failed, watched.stopped) == ({}, None)
        if self.model.live is not None:
            self.model.snapshotted(self.model.live)

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
        self.model.lived_again = self.model.saved_by_app

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
        gone = {"vanished", "expired"}
        if self.model.name(self.model.snapshot.actions[-1]) == "session_end":
            return {"ended"}
        if self.model.saved_by_app and self.servers.shared:
            # what happened after the session was live again is not in the app's document
            return {"ended"} | (gone if self.model.lived_again else set())
        return gone

    # -- helpers

    def now(self) -> str:
        """A new time, a second later than the last one."""
        return stamp(next(self.seconds), start=self.started)

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

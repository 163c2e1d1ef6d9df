"""A model of one session and its archive: every action that ever happened, in order, and which ones a snapshot had.

A snapshot and an end archive what the session has in Redis, a trim what it removes; nothing else does.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any


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
    #: Those of them that a later snapshot replaced by others: what took their place may be missing.
    overwritten: set[int] = field(default_factory=set)
    #: Those of them that were trimmed since the newest snapshot.
    trimmed: set[int] = field(default_factory=set)
    #: Whether the order of all archived actions is known. It is not if actions were trimmed from one version of the
    #: session and are not part of the version in a snapshot: nothing says which of the two came first.
    ordered: bool = True
    #: Whether the app has archived the session itself.
    saved_by_app: bool = False
    #: Whether it was live again since.
    lived_again: bool = False
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
        if self.snapshot is not None:
            start = max(line.cut, self.snapshot.cut)
            lost = set(self.snapshot.kept) - set(line.actions)
            self.overwritten.update(number for number in lost if self.places[number] >= start)
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
        there = {self.places[number] for number in self.archived - self.overwritten}
        missing = [place for place in range(len(self.snapshot.actions)) if place not in there]
        runs = itertools.groupby(enumerate(missing), lambda pair: pair[1] - pair[0])
        return [(found[0][1], found[-1][1]) for found in (list(run) for _, run in runs)]

"""The lines in which two aligned runs are shown: equal actions are folded, different ones are side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from .run_comparison import Aligned, AlignedRow
from .timeline import Step

#: Number of equal actions in a row from which on they are one line.
FOLDED = 3


class Relation(StrEnum):
    """How the actions of a line are related."""

    EQUAL = "equal"
    OUTCOME = "other outcome"
    FIRST = "only first"
    SECOND = "only second"
    #: Each run has another action here.
    DIFFERENT = "different"


class RunLine(NamedTuple):
    """An action of each run, or of one of them; or a number of equal actions."""

    first: Step | None
    second: Step | None
    relation: Relation
    #: Number of the block that the line is in: neighbouring lines of one kind are a block.
    block: int
    #: The fields of the outcome in which the actions differ.
    differs: tuple[str, ...] = ()
    #: Number of actions that a folded line stands for, and the last of them.
    actions: int = 1
    last: AlignedRow | None = None


def run_lines(rows: Sequence[AlignedRow], folded: int | None = FOLDED) -> Iterator[RunLine]:
    """The lines for aligned actions.

    `folded`: as many equal ones, or more, are one line; None: each is a line.
    """
    at = block = 0
    while at < len(rows):
        end = at + 1
        while end < len(rows) and _family(rows[end]) is _family(rows[at]):
            end += 1
        some = rows[at:end]
        family = _family(some[0])
        if family is None:
            yield from _side_by_side(some, block)
        elif family is Aligned.EQUAL and folded is not None and len(some) >= folded:
            yield RunLine(some[0].first, some[0].second, Relation.EQUAL, block, (), len(some), some[-1])
        else:
            relation = Relation.EQUAL if family is Aligned.EQUAL else Relation.OUTCOME
            for one in some:
                yield RunLine(one.first, one.second, relation, block, one.differs)
        at, block = end, block + 1


def _family(row: AlignedRow) -> Aligned | None:
    """Rows of one family make a block: all actions that only one of the runs has are a family."""
    return None if row.kind in (Aligned.FIRST, Aligned.SECOND) else row.kind


def _side_by_side(rows: Sequence[AlignedRow], block: int) -> Iterator[RunLine]:
    firsts = [one.first for one in rows if one.first is not None]
    seconds = [one.second for one in rows if one.second is not None]
    for number in range(max(len(firsts), len(seconds))):
        one = firsts[number] if number < len(firsts) else None
        other = seconds[number] if number < len(seconds) else None
        only = Relation.FIRST if other is None else Relation.SECOND
        yield RunLine(one, other, only if one is None or other is None else Relation.DIFFERENT, block)

"""What is wrong with a session, as `verification` finds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from ..history.partial_state import ABSENT
from ..history.timeline import Step
from ..json_codec import json_equal
from ..schema import APP_DOCUMENT_ID, FORKED_FROM, as_object


class DamageKind(StrEnum):
    """What a difference is about."""

    #: The ids of the session and its agent.
    IDENTITY = "identity"
    #: A field that is not as the deltas, or the creation of the session, left it.
    STATE = "state"
    #: A counter, or a time, of the document that the trajectory contradicts.
    STATISTICS = "statistics"
    #: `t`, or `trimmed_actions`.
    NUMBER = "number"
    #: A record of an action that is not one.
    ACTION = "action"
    #: `history.last_action`.
    LAST_ACTION = "last_action"
    #: The last delta, AWI:DIFF.
    DIFF = "diff"
    #: The bytes of the session in Redis.
    LAYOUT = "layout"
    #: The archived copy.
    ARCHIVE = "archive"
    #: The session, or its archived copy, cannot be read.
    UNREADABLE = "unreadable"


class Discrepancy(NamedTuple):
    """One thing that is not as it should be."""

    kind: DamageKind
    #: JSON pointer to it in the document; empty if it is about the whole of it.
    pointer: str
    #: A sentence.
    text: str
    #: The value that is expected there, or what kind of value; ABSENT if there should be none.
    expected: Any = ABSENT
    found: Any = ABSENT
    #: Ordinal of the action that says so, and its `t`; None if no action does.
    ordinal: int | None = None
    t: Any = None

    def row(self) -> dict[str, Any]:
        """Return it as JSON values; `expected` and `found` are left out where there is none."""
        values = {"expected": self.expected, "found": self.found}
        return {
            "kind": self.kind.value,
            "pointer": self.pointer,
            "ordinal": self.ordinal,
            "t": self.t,
            **{name: value for name, value in values.items() if value is not ABSENT},
            "text": self.text,
        }


class Origin(NamedTuple):
    """An earlier version of a session that is known completely."""

    #: The document without its trajectory.
    head: Mapping[str, Any]
    #: Ordinal of its last action.
    ordinal: int
    #: What it is called in messages.
    name: str = "the archived version"


@dataclass
class Verification:
    """What was found wrong, and what is remarkable."""

    differences: list[Discrepancy] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self, kind: DamageKind, pointer: str, expected: Any, found: Any, text: str, step: Step | None = None
    ) -> None:
        """Add a difference. `text`: what is said of the pointer, or a sentence. `step`: the action that says so."""
        action: Mapping[str, Any] = as_object(step.action) if step is not None else {}
        ordinal = step.ordinal if step is not None else None
        sentence = f"{pointer} {text}" if text[:3].islower() else text
        self.differences.append(Discrepancy(kind, pointer, sentence, expected, found, ordinal, action.get("t")))


def is_from_app(document: Mapping[str, Any]) -> bool:
    """Whether a session, or the one that it was forked from, was copied from the app's own session in MongoDB."""
    return APP_DOCUMENT_ID in document or APP_DOCUMENT_ID in as_object(document.get(FORKED_FROM))


def first_unequal(expected: Any, there: Any, place: str) -> tuple[str, Any, Any]:
    """Where two values differ: the pointer to the field, if it is the only one, and both values."""
    if isinstance(expected, dict) and isinstance(there, dict):
        names = [*expected, *(name for name in there if name not in expected)]
        unequal = [one for one in names if not json_equal(expected.get(one, ABSENT), there.get(one, ABSENT))]
        if len(unequal) == 1:
            return f"{place}/{unequal[0]}", expected.get(unequal[0], ABSENT), there.get(unequal[0], ABSENT)
    return place, expected, there

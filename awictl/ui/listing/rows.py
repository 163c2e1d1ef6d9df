"""The rows of a list of sessions, and columns of them that take little memory."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any

import msgspec

from ...agents.secret import mask_whole_secrets
from ...document.timestamps import EPOCH, timestamp
from ...sessions.summaries import SessionState, Summary, epoch_ms
from ...sessions.where.fields import Place

#: Characters of a text that a list shows, and in which secrets are looked for before it is cut.
_SHOWN, _CLEANED = 200, 20_000
#: Number of different texts of which only one copy is kept.
_SHARED_TEXTS = 10_000
#: Difference between two times at which a session expires that is taken for imprecision, in milliseconds.
EXPIRY_PRECISION_MS = 1_000
#: An unknown number in a column; less than every other.
UNKNOWN = -(2**63)
_LARGEST = 2**63 - 1


#: Removes secrets from a text.
Clean = Callable[[str], str]


class RowState(StrEnum):
    """What a row says of its session that `SessionState` does not."""

    #: It is not in Redis any more; the next scan of the archive finds out whether it is there.
    GONE = "gone"


class Row(msgspec.Struct, frozen=True, gc=False):
    """A session in the list. Fields are None if they are unknown."""

    session_id: str
    agent_id: str | None
    agent_name: str | None
    route: str | None
    #: How many actions there ever were; if that is unknown, how many there are.
    total_actions: int | None
    failed_actions: int | None
    #: Time of the last action, and time at which it expires, in milliseconds since 1970 by the clock of this machine.
    last_activity: int | None
    expires: int | None
    bytes: int | None
    state: str
    place: str
    error: str | None = None

    @classmethod
    def of(cls, summary: Summary, total: Any, place: Place, now: int, clean: Clean = mask_whole_secrets) -> Row:
        """The row of a session that was read `now`, in milliseconds since 1970. `total`: as in `SessionValues`.

        `clean`: removes secrets from a text before it is cut; a part of one would not be recognized.
        """
        return cls(
            summary.session_id,
            _cut(summary.agent_id, clean),
            _cut(summary.agent_name, clean),
            _cut(summary.route, clean),
            total if type(total) is int else summary.actions,
            summary.failed_actions,
            epoch_ms(summary.last_activity),
            now + summary.ttl_ms if summary.ttl_ms is not None else None,
            summary.bytes,
            summary.state.value,
            place.value,
            _cut(summary.error, clean),
        )

    def is_like(self, other: Row) -> bool:
        """Whether both are the same on the page."""
        if self == other:
            return True
        if self.expires is None or other.expires is None or abs(self.expires - other.expires) > EXPIRY_PRECISION_MS:
            return False
        return msgspec.structs.replace(self, expires=other.expires) == other

    def gone(self) -> Row:
        """The row of a session that is not in Redis any more."""
        changes: dict[str, Any] = {"state": RowState.GONE.value, "expires": None, "error": None}
        return msgspec.structs.replace(self, **changes)

    def value(self, now: int) -> dict[str, Any]:
        """The row as JSON values, `now` in milliseconds since 1970."""
        value: dict[str, Any] = msgspec.structs.asdict(self)
        expires = value.pop("expires")
        value["ttl_ms"] = max(0, expires - now) if expires is not None else None
        value["last_activity"] = _iso(self.last_activity)
        return value


def _cut(text: str | None, clean: Clean) -> str | None:
    return text if text is None or len(text) <= _SHOWN else f"{clean(text[:_CLEANED])[:_SHOWN]}…"


def _iso(moment: int | None) -> str | None:
    try:
        return timestamp(EPOCH + timedelta(milliseconds=moment)) if moment is not None else None
    except OverflowError:
        return None


class Columns:
    """The rows of one place, in the order in which they were found; each field is a column."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.ids: list[str] = []
        self._agent_ids: list[str | None] = []
        self._agent_names: list[str | None] = []
        self._routes: list[str | None] = []
        self._states = bytearray()
        self._numbers = {name: array("q") for name in _NUMBERS}
        self._errors: dict[int, str] = {}
        self._texts: dict[str, str] = {}
        #: Orders of these rows, once all have been found; see `Table`.
        self.orders: dict[Any, array[int]] = {}

    @classmethod
    def none(cls) -> Columns:
        """No rows."""
        return cls(Place.LIVE)

    def __len__(self) -> int:
        return len(self.ids)

    def extend(self, rows: Iterable[Row]) -> None:
        """Append rows."""
        share = self._shared
        for row in rows:
            if row.error is not None:
                self._errors[len(self.ids)] = row.error
            self.ids.append(row.session_id)
            self._agent_ids.append(row.agent_id)
            self._agent_names.append(share(row.agent_name))
            self._routes.append(share(row.route))
            self._states.append(_STATES.index(row.state))
            for name, column in self._numbers.items():
                column.append(_stored(getattr(row, name)))

    def replace(self, index: int, row: Row) -> None:
        """Replace a row by what the session is now, unless it has acted since."""
        activity = self._numbers["last_activity"][index]
        if row.last_activity is not None and activity > row.last_activity:
            return
        self._errors.pop(index, None)
        if row.error is not None:
            self._errors[index] = row.error
        self._agent_ids[index] = row.agent_id
        self._agent_names[index] = self._shared(row.agent_name)
        self._routes[index] = self._shared(row.route)
        self._states[index] = _STATES.index(row.state)
        for name, column in self._numbers.items():
            column[index] = _stored(getattr(row, name))

    def _shared(self, text: str | None) -> str | None:
        if text is None or (len(self._texts) >= _SHARED_TEXTS and text not in self._texts):
            return text
        return self._texts.setdefault(text, text)

    def __getitem__(self, index: int) -> Row:
        numbers = {name: _known(column[index]) for name, column in self._numbers.items()}
        return Row(
            self.ids[index],
            self._agent_ids[index],
            self._agent_names[index],
            self._routes[index],
            state=_STATES[self._states[index]],
            place=self._place.value,
            error=self._errors.get(index),
            **numbers,
        )

    def sort_keys(self, field: str, start: int, stop: int) -> Sequence[Any]:
        """What rows are sorted by, all of one type; what is unknown is `UNKNOWN`, or the empty text."""
        if (numbers := self._numbers.get(field)) is not None:
            return numbers[start:stop]
        if field == "agent":
            names, ids = self._agent_names[start:stop], self._agent_ids[start:stop]
            return [name or agent_id or "" for name, agent_id in zip(names, ids, strict=True)]
        if field == "route":
            return [route or "" for route in self._routes[start:stop]]
        if field == "state":
            called = _ARCHIVED_STATES if self._place is Place.ARCHIVED else _STATES
            return [called[state] for state in self._states[start:stop]]
        return self.ids[start:stop]


#: The columns of numbers.
_NUMBERS = ("total_actions", "failed_actions", "last_activity", "expires", "bytes")
_STATES: Sequence[str] = [*(one.value for one in SessionState), *(one.value for one in RowState)]
#: What the page calls these states of sessions in the archive.
_ARCHIVED_STATES: Sequence[str] = [
    Place.ARCHIVED.value if one in (SessionState.ENDED, SessionState.LIVE) else one for one in _STATES
]


def _stored(number: int | None) -> int:
    return number if number is not None and UNKNOWN < number <= _LARGEST else UNKNOWN


def _known(number: int) -> int | None:
    return number if number != UNKNOWN else None


#: Names of what a list can be sorted by → what `Columns.sort_keys` calls it.
SORTS: Mapping[str, str] = {
    "activity": "last_activity",
    "ttl": "expires",
    "actions": "total_actions",
    "failed": "failed_actions",
    "bytes": "bytes",
    "agent": "agent",
    "route": "route",
    "state": "state",
    "id": "id",
}

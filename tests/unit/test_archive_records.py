"""Cursors, summaries and statistics of the archive."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import NOW

from awictl.archive.base import ArchivedSummary, Cursor, Shape
from awictl.archive.decision import ArchivedState
from awictl.archive.stats import ArchiveStats
from awictl.archive.trajectory import ActionCount
from awictl.errors import InvalidInput


def summary(session_id: str = "sess_1", **others: Any) -> ArchivedSummary:
    fields: dict[str, Any] = dict.fromkeys(ArchivedSummary.__dataclass_fields__)
    fields |= {
        "state": ArchivedState.ENDED,
        "total_actions": 0,
        "successful_actions": 0,
        "failed_actions": 0,
        "action_counts": {},
    }
    fields |= {"gaps": (), "overwritten_actions": 0}
    return ArchivedSummary(**(fields | {"session_id": session_id, "shape": Shape.AWICTL} | others))


# -- cursors

moments = st.datetimes(timezones=st.just(UTC)).map(lambda one: one.replace(microsecond=one.microsecond // 1000 * 1000))


@given(st.none() | moments, st.from_regex(r"sess_[A-Za-z0-9_-]{1,64}", fullmatch=True))
def test_a_cursor_survives_encoding(moment: datetime | None, session_id: str) -> None:
    cursor = Cursor(moment, session_id)
    assert Cursor.parse(cursor.text) == cursor
    assert cursor.text.isascii() and not set(cursor.text) & set(" \n\"'$&;|"), "a single word in a shell"


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


HOSTILE = [
    "", "x", "====", "a===", "é", "\ud800", "sess_1", " ", "\0", encoded(None), encoded(5), encoded("ab"), encoded({}),
    encoded([]), encoded([None]), encoded([None, 5]), encoded([None, None]), encoded([5, "s"]), encoded(["x", "s"]),
    encoded([None, "s", 1]), encoded({"a": 1, "b": 2}), encoded([None, {"$gt": ""}]), encoded([{"$gt": ""}, "s"]),
    encoded([[], "s"]), encoded([True, "s"]), encoded(["", "s"]), encoded(["9999-12-31T23:59:59-05:00", "s"]),
    base64.urlsafe_b64encode(b"[" * 5000).decode(), base64.urlsafe_b64encode(b"\xff\xfe").decode(), "A" * 100_001,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:40])
def test_hostile_cursors(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a cursor") as raised:
        Cursor.parse(text)
    assert len(str(raised.value)) < 250


@given(st.text() | st.binary().map(lambda data: base64.urlsafe_b64encode(data).decode()))
def test_any_text_is_parsed_or_rejected(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        Cursor.parse(text)


def test_a_cursor_with_a_lone_surrogate_is_rejected() -> None:
    """Neither SQLite nor MongoDB can search for one."""
    with pytest.raises(InvalidInput, match="is not a cursor"):
        Cursor.parse(encoded([None, "sess_\ud800"]))


# -- statistics


def test_statistics_without_sessions() -> None:
    row = ArchiveStats().row(5)
    assert (row["sessions"], row["actions"], row["success_rate"], row["days"]) == (0, 0, None, [])
    assert row["durations"] == {"median_ms": None, "p90_ms": None, "max_ms": None}
    assert row["most_used_actions"] == []


def counted(*summaries: ArchivedSummary) -> ArchiveStats:
    stats = ArchiveStats()
    for one in summaries:
        stats.add(one)
    return stats


def test_counts() -> None:
    stats = counted(
        summary(state=ArchivedState.LIVE, total_actions=5, successful_actions=3, failed_actions=2),
        summary(total_actions=4, successful_actions=4),
        summary(),
    )
    row = stats.row(5)
    assert (row["sessions"], row["active"], row["actions"]) == (3, 1, 9)
    assert (row["successful_actions"], row["failed_actions"], row["success_rate"]) == (7, 2, round(7 / 9, 4))


def test_days_are_in_utc_and_in_order() -> None:
    stats = counted(
        summary(last_activity_at=datetime(2026, 11, 24, 0, 0, tzinfo=UTC), total_actions=1),
        summary(last_activity_at=datetime(2026, 11, 23, 23, 59, 59, 999000, tzinfo=UTC), total_actions=2),
        summary(last_activity_at=datetime(2026, 11, 23, 0, 0, tzinfo=UTC), total_actions=4, failed_actions=3),
        summary(last_activity_at=None, total_actions=8),
    )
    assert stats.row(5)["days"] == [
        {"day": "2026-11-23", "sessions": 2, "actions": 6, "failed_actions": 3},
        {"day": "2026-11-24", "sessions": 1, "actions": 1, "failed_actions": 0},
    ]


def test_the_most_used_actions() -> None:
    stats = counted(
        summary(action_counts={"search": ActionCount(3, 1), "open": ActionCount(1, 0)}),
        summary(action_counts={"search": ActionCount(1, 1), "like": ActionCount(2, 0)}),
        summary(action_counts={}),
    )
    assert stats.row(2)["most_used_actions"] == [
        {"action": "search", "count": 4, "failed": 2},
        {"action": "like", "count": 2, "failed": 0},
    ]
    assert len(stats.row(0)["most_used_actions"]) == 0 and len(stats.row(9)["most_used_actions"]) == 3


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=120))
def test_percentiles(durations: list[int]) -> None:
    """Percentiles follow the nearest-rank definition."""
    stats = counted(*(summary(started_at=NOW - timedelta(milliseconds=one), last_activity_at=NOW) for one in durations))
    found = stats.row(1)["durations"]
    exact = sorted(stats.durations)
    for name, share in (("median_ms", Fraction(1, 2)), ("p90_ms", Fraction(9, 10)), ("max_ms", Fraction(1))):
        wanted = next(one for one in exact if Fraction(sum(other <= one for other in exact), len(exact)) >= share)
        assert found[name] == wanted, name


def test_unknown_and_negative_durations() -> None:
    stats = counted(
        summary(started_at=NOW),
        summary(last_activity_at=NOW),
        summary(started_at=NOW, last_activity_at=NOW - timedelta(seconds=5)),
    )
    assert stats.durations == [0]


def test_a_row_consists_of_json_values() -> None:
    row = summary(started_at=NOW, last_activity_at=NOW + timedelta(seconds=1), bytes=5, shape=Shape.APP).row()
    assert json.loads(json.dumps(row)) == row
    assert (row["started_at"], row["duration_ms"], row["shape"]) == ("2026-11-23T12:00:00.000Z", 1000, "app")

"""Moments of a session, as users name them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from awictl.document.history.moments import parse_moment_of, steps_between
from awictl.document.history.timeline import Step, Timeline
from awictl.document.timestamps import timestamp
from awictl.errors import InvalidInput, NotFound

#: The times of actions 5 to 8: the session went on over midnight.
TIMES = ["2026-11-23T23:50:00.000Z", "2026-11-23T23:58:30.500Z", "2026-11-24T00:01:00.000Z", "2026-11-24T00:05:00.000Z"]
NOW = datetime(2026, 11, 24, 0, 10, tzinfo=UTC)


@pytest.fixture
def timeline() -> Timeline:
    steps = [Step(t, {"t": t, "timestamp": at}) for t, at in enumerate(TIMES, 5)]
    return Timeline({"history": {"actions": [one.action for one in steps]}}, steps)


@pytest.mark.parametrize(
    ("text", "ordinal"),
    [
        ("6", 6),
        ("23:55", 5),
        ("23:58:30", 5),
        ("23:58:30.5", 6),
        ("00:02:00", 7),
        ("00:09", 8),
        ("23:00", 8),
        ("2026-11-24", 6),
        ("2026-11-23T23:59", 6),
        ("2026-11-24T01:02:00+01:00", 7),
        ("2027-01-01", 8),
        ("-5m", 8),
        ("-9m30s", 6),
        ("-0s", 8),
    ],
)
def test_moments(timeline: Timeline, text: str, ordinal: int) -> None:
    assert parse_moment_of(text).in_(timeline, NOW) == ordinal


@pytest.mark.parametrize(
    "text", ["", "-", "x", "25:00", "12:5", "5m", "-1", "1.5", "²", "9" * 30, "-9999999999d", "2026-13-01"]
)
def test_what_is_not_a_moment(text: str) -> None:
    with pytest.raises(InvalidInput, match="is not a moment of a session"):
        parse_moment_of(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-1h", "2026-"),
        ("2026-11-23", "2026-11-23T00:00:00.000Z: "),
        ("2026-11-23T23:00+02:00", "2026-11-23T23:00:00.000+02:00: "),
        ("0001-01-01T00:00+05:00", "0001-01-01T00:00:00.000+05:00: "),
    ],
)
def test_nothing_is_known_from_before_the_first_action(timeline: Timeline, text: str, shown: str) -> None:
    with pytest.raises(NotFound, match=re.escape(f"no action is known from before {shown}")):
        parse_moment_of(text).in_(timeline, NOW)


def test_a_time_of_day_needs_the_times_of_actions() -> None:
    untimed: Any = {"history": {"actions": [{"t": 0}]}}
    with pytest.raises(NotFound, match="has a time"):
        parse_moment_of("12:00").in_(Timeline(untimed), NOW)
    with pytest.raises(NotFound, match="no action is known from before"):
        parse_moment_of(timestamp(NOW + timedelta(days=1))).in_(Timeline(untimed), NOW)


@pytest.mark.parametrize(
    ("start", "stop", "ordinals"),
    [
        (None, None, [5, 6, 7, 8]),
        ("6", "7", [6, 7]),
        ("0", "5", [5]),
        ("7", "6", []),
        ("9", None, []),
        ("23:58:30", None, [6, 7, 8]),
        ("23:58:30.5", "00:01", [6, 7]),
        ("2026-11-24", "7", [7]),
        ("-9m", None, [7, 8]),
        (None, "-1h", []),
    ],
)
def test_the_actions_from_one_moment_to_another(
    timeline: Timeline, start: str | None, stop: str | None, ordinals: list[int]
) -> None:
    bounds = [parse_moment_of(one) if one is not None else None for one in (start, stop)]
    assert [one.ordinal for one in steps_between(timeline, *bounds, NOW)] == ordinals


def test_actions_without_a_time_are_in_no_range_of_time() -> None:
    document: Any = {"history": {"actions": []}}
    found = Timeline(document, [Step(0, {"timestamp": TIMES[0]}), Step(1, {}), Step(2, {"timestamp": TIMES[1]})])
    year = parse_moment_of("2026-01-01")
    assert [one.ordinal for one in steps_between(found, year, None, NOW)] == [0, 2]
    assert [one.ordinal for one in steps_between(found, parse_moment_of("1"), None, NOW)] == [1, 2]
    assert not steps_between(Timeline(document, []), parse_moment_of("12:00"), None, NOW)

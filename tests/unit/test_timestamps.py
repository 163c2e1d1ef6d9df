"""Timestamps as JavaScript prints them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from awictl.document.timestamps import parse_timestamp, timestamp


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 6_789, UTC), "2026-01-02T03:04:05.006Z"),
        (datetime(2026, 1, 2, 3, 4, 5, 999_999, UTC), "2026-01-02T03:04:05.999Z"),
        (datetime(2026, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=1))), "2025-12-31T23:30:00.000Z"),
    ],
)
def test_timestamps_as_javascript_prints_them(moment: datetime, text: str) -> None:
    assert timestamp(moment) == text
    parsed = parse_timestamp(text)
    assert parsed is not None
    assert timestamp(parsed) == text


def test_the_default_is_the_current_time() -> None:
    parsed = parse_timestamp(timestamp())
    assert parsed is not None
    assert abs(datetime.now(UTC) - parsed) < timedelta(seconds=10)


@pytest.mark.parametrize("stored", [None, 5, "", "yesterday", "2026-13-01T00:00:00Z", {}, ["2026-01-01"]])
def test_values_that_are_not_timestamps(stored: Any) -> None:
    assert parse_timestamp(stored) is None


def test_a_timestamp_without_a_zone_is_utc() -> None:
    assert parse_timestamp("2026-01-02T03:04:05") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(params=["UTC", "Asia/Kathmandu", "America/St_Johns"])
def local_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of this process."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("local_zone")
def test_a_datetime_without_a_time_zone_is_in_utc_wherever_the_process_runs() -> None:
    naive = datetime(2026, 1, 2, 3, 4, 5, 678_999)
    assert timestamp(naive) == timestamp(naive.replace(tzinfo=UTC)) == "2026-01-02T03:04:05.678Z"
    assert parse_timestamp("2026-01-02T03:04:05") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

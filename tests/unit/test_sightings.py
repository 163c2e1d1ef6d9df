"""What a watcher remembers of live sessions: which ones have not changed, and when they expire."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from awictl.archive import watcher as watcher_module
from awictl.archive.sightings import Sighting, Sightings
from awictl.store.base import SessionVersion, SessionVersions

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SEEN = Sighting(10_000_000, 500, "digest", 10_000_000, NOW)


@pytest.mark.parametrize(
    ("expires_ms", "size", "same"),
    [
        (10_000_000, 500, True),
        (10_000_002, 500, True),
        (9_999_998, 500, True),
        (10_000_003, 500, False),
        (9_999_997, 500, False),
        (10_000_000, 501, False),
        (None, 500, False),
    ],
)
def test_a_version_is_the_same_if_expiry_and_length_are(expires_ms: int | None, size: int, same: bool) -> None:
    assert SEEN.is_same(SessionVersion("sess_a", expires_ms, size)) is same
    assert not SEEN._replace(expires_ms=None).is_same(SessionVersion("sess_a", expires_ms, size))


def test_the_document_is_read_later_than_two_expiries_may_differ() -> None:
    """Otherwise a write that the document lacks could have the expiry of the one before."""
    from awictl.archive.sightings import SAME_EXPIRY_MS

    assert watcher_module.SETTLE_SECONDS * 1000 > 2 * SAME_EXPIRY_MS


def test_expiries_are_converted_to_the_local_clock() -> None:
    sightings = Sightings()
    now_ms = round(NOW.timestamp() * 1000)
    sightings.set_clock(SessionVersions(now_ms + 5_000, []), NOW)
    expiry = sightings.expiry(SEEN._replace(expires_ms=now_ms + 65_000))
    assert expiry is not None and (expiry - NOW).total_seconds() == 60
    assert sightings.expiry(SEEN._replace(expires_ms=None)) is None

"""Redis is restarted from an older dump: sessions go on from a state that the archive has long passed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from support.archives import saved, session, snapshot, stamp
from support.documents import SESSION_ID, app_updated

from awictl.archive.base import Archive, Archived
from awictl.archive.decision import Outdated


def updated(document: dict[str, Any], count: int, seconds: int) -> dict[str, Any]:
    """Return a session after `count` more updates of the app, the first of them `seconds` after the start."""
    made = copy.deepcopy(document)
    for number in range(count):
        app_updated(made, stamp(seconds + number))
    return made


async def archived(archive: Archive, document: dict[str, Any]) -> Archived:
    """Archive a session as it is in Redis now, as `Transfer` does. Return what the archive has then."""
    one = snapshot(document, ttl_ms=60_000)
    outcome = (await archive.save([one]))[SESSION_ID]
    if outcome is not None:
        assert isinstance(outcome, Outdated)
        await saved(archive, replace(one, newer_than=outcome.digest))
    found = await archive.load(SESSION_ID)
    assert found is not None
    return found


async def test_actions_from_before_the_dump_are_no_gap(archive: Archive) -> None:
    """The archive has the actions of the old state as chunks only, since the app cut them."""
    old = updated(session(1), 60, 1)
    await archived(archive, old)
    before = updated(old, 90, 61)
    await archived(archive, before)
    before = updated(before, 90, 151)
    found = await archived(archive, before)
    whole = found.document["history"]["actions"]
    assert len(whole) == 241 and found.summary.gaps == ()

    after = updated(old, 10, 1000)
    found = await archived(archive, after)
    assert found.summary.gaps == () and "trimmed_actions" not in found.document["history"]
    new = after["history"]["actions"][-10:]
    again = found.document["history"]["actions"]
    assert [one for one in again if one not in new] == whole
    assert [one for one in again if one in new] == new
    assert len(again) == len(whole) + len(new)
    assert found.summary.overwritten_actions > 0

    # the session goes on
    after = updated(after, 90, 2000)
    found = await archived(archive, after)
    assert [one for one in found.document["history"]["actions"] if one in whole] == whole
    assert len(found.document["history"]["actions"]) == len(whole) + 100 and found.summary.gaps == ()

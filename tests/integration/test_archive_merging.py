"""Snapshots are merged in the archive: what was archived stays, whatever the app cut. Gaps are recorded."""

from __future__ import annotations

import copy
from dataclasses import replace
from datetime import timedelta
from typing import Any

from support.archives import (
    NOW,
    Backend,
    ended,
    listed,
    saved,
    session,
    snapshot,
    stamp,
)
from support.documents import SESSION_ID, app_updated

from awictl.archive.base import Archive, Archived, ArchiveQuery, GoneSession
from awictl.archive.chunks import Chunk
from awictl.archive.decision import ArchivedState, ArchivedVersion
from awictl.archive.merge import Gap
from awictl.archive.trajectory import ActionCount


class App:
    """A session that the app updates. It keeps the last 100 actions."""

    def __init__(self, session_id: str = SESSION_ID) -> None:
        self.document = session(1, session_id)
        self.actions = list(self.document["history"]["actions"])

    def update(self, count: int) -> Any:
        """Update the session, and return its snapshot."""
        for _ in range(count):
            self.actions.append(app_updated(self.document, stamp(len(self.actions))))
        return snapshot(copy.deepcopy(self.document), ttl_ms=60_000)


async def loaded(archive: Archive, session_id: str = SESSION_ID) -> Archived:
    found = await archive.load(session_id)
    assert found is not None
    return found


async def live(archive: Archive, server: str = "") -> dict[str, ArchivedVersion]:
    return {one.session_id: one async for one in archive.live(server)}


async def test_actions_that_the_app_cut_stay_in_the_archive(archive: Archive) -> None:
    """F3: 81 actions were archived; the app went on for 100, and only the last 100 were left in the archive."""
    app = App()
    for count in (80, 100, 100, 5):
        await saved(archive, app.update(count))
        found = await loaded(archive)
        assert found.document["history"]["actions"] == app.actions
        assert (found.summary.gaps, found.summary.missing_actions) == ((), 0)
    [summary] = [one async for one in archive.find(ArchiveQuery(), action_counts=True)]
    assert summary.action_counts == {"next_page": ActionCount(len(app.actions) - 1, 0)}


async def test_actions_that_no_snapshot_had_are_a_gap(archive: Archive) -> None:
    app = App()
    await saved(archive, app.update(49))
    await saved(archive, app.update(130))
    for seen in (180, 183):
        found = await loaded(archive)
        assert found.document["history"]["actions"] == [*app.actions[:50], *app.actions[80:seen]]
        assert found.document["history"]["trimmed_actions"] == 30
        assert found.summary.gaps == (Gap(50, 79),)
        [row] = [one.row() for one in await listed(archive)]
        assert (row["missing_actions"], row["gaps"]) == (30, [{"from": 50, "to": 79, "count": 30}])
        await saved(archive, app.update(3))


async def test_actions_that_another_writer_overwrote_are_kept(archive: Archive) -> None:
    """The app writes without comparing: what it read before other updates replaces them."""
    app = App()
    await saved(archive, app.update(5))
    stale = copy.deepcopy(app.document)
    await saved(archive, app.update(3))
    overwritten = app.actions[6:]
    app.document, app.actions = stale, app.actions[:6]
    app_updated(app.document, stamp(50), action="search")
    await saved(archive, app.update(4))
    found = await loaded(archive)
    whole = found.document["history"]["actions"]
    assert whole[6:9] == overwritten and whole[9]["action"] == "search" and len(whole) == 14
    assert (found.summary.overwritten_actions, found.summary.gaps) == (3, ())
    assert found.raw == app.update(0).raw, "the bytes are those of the newest snapshot"


async def test_actions_that_were_trimmed_after_the_snapshot_are_loaded(archive: Archive) -> None:
    """The snapshot begins with the first action, and lacks those that left Redis since."""
    app = App()
    first = app.update(1)
    await saved(archive, first)
    app.update(80)
    await archive.save_trimmed_actions(SESSION_ID, first.agent_id, Chunk(1, app.actions[1:70]))
    assert (await loaded(archive)).document["history"]["actions"] == app.actions[:70]


async def test_a_damaged_chunk_is_written_again_by_the_next_save_of_it(archive: Archive, backend: Backend) -> None:
    app = App()
    first = app.update(80)
    await saved(archive, first)
    await saved(archive, app.update(100))
    backend.damage_actions(SESSION_ID)
    assert len((await loaded(archive)).document["history"]["actions"]) == 100
    await archive.save_trimmed_actions(SESSION_ID, first.agent_id, Chunk(0, app.actions[:81]))
    assert (await loaded(archive)).document["history"]["actions"] == app.actions


async def test_a_damaged_version_is_continued(archive: Archive, backend: Backend) -> None:
    app = App()
    await saved(archive, app.update(80))
    backend.damage(SESSION_ID)
    await saved(archive, app.update(100))
    found = await loaded(archive)
    assert found.document["history"]["actions"] == app.actions[81:], "what only the damaged bytes had is lost"
    assert found.summary.gaps == (Gap(0, 80),)


# -- states


async def test_the_states_of_sessions_that_are_gone(archive: Archive) -> None:
    names = ("sess_a", "sess_b", "sess_c", "sess_d", "sess_e")
    await saved(archive, *(App(name).update(1) for name in names), snapshot(ended(session(1, "sess_f"))))
    versions = await live(archive)
    assert set(versions) == set(names) and all(one.seen_at is not None for one in versions.values())
    gone = [
        GoneSession(versions["sess_a"], ArchivedState.VANISHED, None),
        GoneSession(versions["sess_b"], ArchivedState.EXPIRED, versions["sess_b"].expires_at),
        GoneSession(versions["sess_c"], ArchivedState.ENDED, NOW + timedelta(seconds=5)),
        GoneSession(versions["sess_d"], ArchivedState.VANISHED, None),
    ]
    await saved(archive, App("sess_d").update(2))  # changed since
    assert await archive.mark_gone(gone) == 3 and await archive.mark_gone(gone) == await archive.mark_gone([]) == 0
    assert set(await live(archive)) == {"sess_d", "sess_e"}
    rows = {one.session_id: one for one in await listed(archive)}
    assert {name: (one.state, one.ended_at) for name, one in rows.items() if name != "sess_f"} == {
        "sess_a": (ArchivedState.VANISHED, None),
        "sess_b": (ArchivedState.EXPIRED, NOW + timedelta(minutes=1)),
        "sess_c": (ArchivedState.ENDED, NOW + timedelta(seconds=5)),
        "sess_d": (ArchivedState.LIVE, None),
        "sess_e": (ArchivedState.LIVE, None),
    }
    assert rows["sess_f"].state is ArchivedState.ENDED
    assert rows["sess_a"].last_seen_at == versions["sess_a"].seen_at
    await saved(archive, App("sess_a").update(3), App("sess_b").update(1))
    assert (await loaded(archive, "sess_a")).summary.state is ArchivedState.LIVE, "it is back"
    back = (await loaded(archive, "sess_b")).summary
    assert (back.state, back.ended_at) == (ArchivedState.LIVE, None), "with the same bytes"


async def test_live_sessions_of_a_server(archive: Archive) -> None:
    await saved(archive, *(replace(App(f"sess_{one}").update(1), server=one) for one in ("", "a", "b")))
    assert set(await live(archive, "a")) == {"sess_", "sess_a"}

"""Snapshots, and whether one may replace an archived version: never an older one, never one of another session."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from material import SESSIONS, load, raw
from support.archives import NOW, STARTED, ended, session, snapshot, stamp
from support.documents import compact

from awictl.archive.base import ArchivedSummary
from awictl.archive.decision import ArchivedState, ArchivedVersion, Decision, Outdated, decide
from awictl.archive.merge import Gap
from awictl.archive.merged_trajectory import MergedTrajectory
from awictl.archive.mongo.documents import document_of
from awictl.archive.mongo.documents import version_of as mongo_version_of
from awictl.archive.snapshot import Revision, Snapshot
from awictl.archive.trajectory import ActionCount
from awictl.archive.values import as_count, parse_datetime
from awictl.document.timestamps import timestamp
from awictl.errors import InvalidData, Refused

WHERE = "archive://here"


def archived(of: Snapshot, **others: Any) -> ArchivedVersion:
    """Return the version that an archive holds after it saved a snapshot."""
    made = ArchivedVersion(
        of.session_id,
        of.digest,
        of.revision,
        of.agent_id,
        of.started_at,
        ArchivedState.ENDED if of.ended else ArchivedState.LIVE,
        of.expires_at,
        last_action_digest=of.last_action_digest,
    )
    return replace(made, **others)


def test_a_delta_over_the_start_does_not_make_it_another_session() -> None:
    """It is the same session if its trajectory has the last archived action."""
    before, later = session(3), session(5)
    later["statistics"]["session_start"] = stamp(99)
    assert decide(snapshot(later), archived(snapshot(before)), WHERE) is Decision.REPLACE
    with pytest.raises(Refused, match="another session"):
        decide(snapshot(later), archived(snapshot(before), last_action_digest="of another trajectory"), WHERE)


def test_a_later_action_decides_if_the_clock_was_set_back() -> None:
    """The revisions alone are undecided: `t` is later, the time of the update is earlier."""
    before = session(3)
    last = before["history"]["actions"][-1]
    for actions in ([{"t": 3, "action": "session_end"}], [{"t": 3, "action": "x"}, {"t": 4, "action": "session_end"}]):
        later = copy.deepcopy(before) | {"last_updated": stamp(-3600)}
        later["history"] = {"actions": [*before["history"]["actions"], *actions], "last_action": actions[-1]}
        assert snapshot(later).revision.compared_to(snapshot(before).revision) == 0
        assert decide(snapshot(later), archived(snapshot(before)), WHERE) is Decision.REPLACE
        # but not without the last archived action
        later["history"]["actions"].remove(last)
        with pytest.raises(Outdated, match="may be newer"):
            decide(snapshot(later), archived(snapshot(before)), WHERE)


# -- revisions

revisions = st.builds(Revision, *[st.integers(0, 3)] * 3)


@given(revisions, revisions)
def test_comparing_is_antisymmetric(one: Revision, other: Revision) -> None:
    assert one.compared_to(other) == -other.compared_to(one)
    assert one.compared_to(one) == 0


@given(revisions, st.lists(st.sampled_from(Revision._fields), unique=True, min_size=2))
def test_the_majority_of_three_numbers_decides(revision: Revision, larger: list[str]) -> None:
    for third in set(Revision._fields) - set(larger) or {larger[0]}:
        newer = revision._replace(**{name: getattr(revision, name) + 5 for name in larger})
        if third not in larger:
            newer = newer._replace(**{third: getattr(revision, third) - 1})
        assert newer.compared_to(revision) > 0 > revision.compared_to(newer)


@pytest.mark.parametrize("name", SESSIONS)
def test_revisions_of_documents_that_the_app_wrote(name: str) -> None:
    document = load(name)
    taken = snapshot(document, raw=raw(name))
    assert taken.raw == raw(name) and taken.document == document
    assert taken.revision.total_actions == document["statistics"]["total_actions"]
    assert taken.revision.next_t > max(action["t"] for action in document["history"]["actions"])
    assert timestamp(datetime.fromtimestamp(taken.revision.updated_ms / 1000, UTC)) == document["last_updated"]


@pytest.mark.parametrize(("later", "earlier"), [(3, 2), (2, 1), (1, 0)])
def test_more_updates_are_newer(later: int, earlier: int) -> None:
    assert snapshot(session(later)).revision.compared_to(snapshot(session(earlier)).revision) > 0


def test_an_ended_session_is_newer_than_before_its_end() -> None:
    """Although the end is not counted as an action, and may be recorded in the same millisecond."""
    assert snapshot(ended(session(3))).revision.compared_to(snapshot(session(3)).revision) > 0


# -- decisions


def test_a_session_that_is_not_archived_is_inserted() -> None:
    assert decide(snapshot(session(1)), None, WHERE) is Decision.INSERT


def test_a_newer_version_replaces_an_older_one() -> None:
    assert decide(snapshot(session(4)), archived(snapshot(session(3))), WHERE) is Decision.REPLACE


def test_an_older_version_is_outdated() -> None:
    newer = snapshot(session(4))
    with pytest.raises(Outdated, match="may be newer") as raised:
        decide(snapshot(session(3)), archived(newer), WHERE)
    assert WHERE in str(raised.value) and raised.value.digest == newer.digest


def test_what_was_read_after_the_archived_version_was_seen_is_newer() -> None:
    """Whatever its statistics and its clock say: an app that does not compare may have overwritten updates."""
    newer = snapshot(session(4))
    again = replace(snapshot(session(3)), newer_than=newer.digest)
    assert decide(again, archived(newer), WHERE) is Decision.REPLACE
    with pytest.raises(Outdated):
        decide(again, archived(snapshot(session(5))), WHERE)


@pytest.mark.parametrize(
    "change",
    [{"current_url": "/other"}, {"agent_name": "Other"}, {"extra": [1]}, {"page_state": {}}],
    ids=lambda change: next(iter(change)),
)
def test_other_content_of_the_same_revision_may_be_older(change: dict[str, Any]) -> None:
    with pytest.raises(Outdated):
        decide(snapshot(session(3, **change)), archived(snapshot(session(3))), WHERE)


def test_with_contradictory_revisions_it_may_be_older() -> None:
    """More actions, but an earlier time, and the third number is equal."""
    one, other = snapshot(session(3)), snapshot(session(3))
    revision = one.revision._replace(total_actions=4, updated_ms=one.revision.updated_ms - 1)
    with pytest.raises(Outdated, match="another version"):
        decide(replace(one, revision=revision, digest="0" * 64), archived(other), WHERE)


def test_another_agent_is_refused() -> None:
    with pytest.raises(Refused, match="another session"):
        decide(snapshot(session(4, agent_id="a" * 24)), archived(snapshot(session(3))), WHERE)


@pytest.mark.parametrize("start", ["2026-11-23T07:09:41.404Z", None, "yesterday", 1795417781403])
def test_another_start_is_refused(start: Any) -> None:
    """If the trajectory is another one, too."""
    other = session(4)
    other["statistics"]["session_start"] = start
    for one in other["history"]["actions"]:
        one["timestamp"] = "2026-11-22T00:00:00.000Z"
    with pytest.raises(Refused, match="another session"):
        decide(snapshot(other), archived(snapshot(session(3))), WHERE)


def test_a_protected_version_is_never_replaced() -> None:
    taken = snapshot(session(3))
    for there in (
        archived(taken, protected="in an older shape"),
        archived(snapshot(session(1)), protected="in an older shape"),
    ):
        with pytest.raises(Refused, match="older shape"):
            decide(taken, there, WHERE)


def test_the_case_of_hex_digits_does_not_make_another_agent() -> None:
    """MongoDB stores an ObjectId, which has no case."""
    upper = snapshot(session(4, agent_id="69639C869D21A04F2375AA8B"))
    assert decide(upper, archived(snapshot(session(3))), WHERE) is Decision.REPLACE


@pytest.mark.parametrize(
    "text", [STARTED, "2026-11-23T07:09:41Z", "2026-11-23T08:09:41.403+01:00", "2026-11-23T07:09:41.403999Z", None]
)
def test_starts_are_compared_with_the_precision_of_the_archive(text: str | None) -> None:
    older, newer = session(3), session(4)
    for one in (older, newer):
        one["statistics"]["session_start"] = text
    assert decide(snapshot(newer), archived(snapshot(older)), WHERE) is Decision.REPLACE


# -- the same bytes again

MINUTE = 60_000


@pytest.mark.parametrize(
    ("before", "after", "decision"),
    [
        (MINUTE, MINUTE, Decision.NOTHING),
        (MINUTE, MINUTE + 900, Decision.NOTHING),
        (MINUTE, MINUTE + 1100, Decision.EXTEND),
        (MINUTE, MINUTE - 5000, Decision.NOTHING),
        (None, MINUTE, Decision.EXTEND),
        (MINUTE, None, Decision.NOTHING),
        (None, None, Decision.NOTHING),
    ],
)
def test_the_same_bytes_only_extend_the_expiry(before: int | None, after: int | None, decision: Decision) -> None:
    document = session(3)
    assert decide(snapshot(document, ttl_ms=after), archived(snapshot(document, ttl_ms=before)), WHERE) is decision


def test_an_ended_session_is_not_extended() -> None:
    document = ended(session(3))
    assert decide(snapshot(document, ttl_ms=9 * MINUTE), archived(snapshot(document)), WHERE) is Decision.NOTHING


def test_the_same_bytes_are_accepted_with_any_metadata() -> None:
    taken = snapshot(session(3))
    odd = archived(taken, agent_id="other", started_at=None, revision=Revision(99, 99, 99))
    assert decide(taken, odd, WHERE) is Decision.NOTHING


def test_expiries_have_the_precision_of_the_archive() -> None:
    odd = NOW.replace(microsecond=123_456)
    assert snapshot(session(1), ttl_ms=1500, now=odd).expires_at == NOW + timedelta(milliseconds=1623)
    assert snapshot(session(1), now=odd).expires_at is None


# -- the end


def without_end(document: dict[str, Any]) -> dict[str, Any]:
    document["history"]["actions"].pop()
    return document


def with_more(document: dict[str, Any]) -> dict[str, Any]:
    document["history"]["actions"].append({"t": 9, "action": "search"})
    return document


def with_other_last(document: dict[str, Any]) -> dict[str, Any]:
    document["history"]["last_action"] = None
    return document


def same(document: dict[str, Any]) -> dict[str, Any]:
    return document


@pytest.mark.parametrize(
    ("change", "is_ended"), [(same, True), (without_end, False), (with_more, False), (with_other_last, False)]
)
def test_a_session_has_ended_if_both_fields_say_so(
    change: Callable[[dict[str, Any]], dict[str, Any]], is_ended: bool
) -> None:
    taken = snapshot(change(ended(session(3))))
    assert taken.ended is is_ended
    assert (taken.ended_at == parse_datetime(stamp(3))) is is_ended


# -- unexpected documents


@pytest.mark.parametrize("odd", [None, 7, "x", [], {}, [{}], True, 1.5, {"route": 5}, {"total_actions": "7"}, "2026"])
def test_fields_of_another_type_are_tolerated(odd: Any) -> None:
    for name in ("agent_id", "agent_name", "page_state", "statistics", "last_updated", "action_state"):
        taken = snapshot(session(1, **{name: odd}))
        assert decide(taken, archived(taken), WHERE) is Decision.NOTHING
        for value in (taken.agent_id, taken.agent_name, taken.route):
            assert value is None or isinstance(value, str)
        assert taken.revision.next_t == 1 and isinstance(taken.count("total_actions"), int)


def test_missing_fields_are_tolerated() -> None:
    taken = snapshot({"history": {"actions": []}})
    assert (taken.agent_id, taken.started_at, taken.last_activity_at, taken.ended) == (None, None, None, False)
    assert taken.revision == (0, 0, 0)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"{}", b'{"history":{}}', b'{"history":{"actions":{}}}'])
def test_bytes_that_are_not_a_session_document_are_invalid(text: bytes) -> None:
    with pytest.raises(InvalidData):
        Snapshot.parse("sess_test", text)


def test_a_document_of_another_session_is_invalid() -> None:
    with pytest.raises(InvalidData, match="sess_other"):
        Snapshot.parse("sess_test", compact(session(1, "sess_other")))


@pytest.mark.parametrize("count", [-1, 2**53, 2**64 - 1, 1.0, True, "1", None, []])
def test_values_that_are_not_counts(count: Any) -> None:
    assert as_count(count) == 0


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "",
        "now",
        "2026-13-01T00:00:00Z",
        5,
        None,
        [],
        "\ud800",
    ],
)
def test_values_that_are_not_timestamps(text: Any) -> None:
    assert parse_datetime(text) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_datetimes_survive_being_stored_as_text(moment: datetime) -> None:
    """SQLite archives and cursors store them as text. .NET's minimum is in the year 1."""
    kept = parse_datetime(moment.isoformat())
    assert kept is not None and parse_datetime(timestamp(kept)) == kept


@given(st.integers(0, 10**12))
def test_durations_are_exact(milliseconds: int) -> None:
    summary = ArchivedSummary("s", None, None, None, NOW, NOW, None, ArchivedState.ENDED, 0, 0, 0, None)
    assert replace(summary, started_at=NOW - timedelta(milliseconds=milliseconds)).duration_ms == milliseconds


@given(st.integers(946_684_800_000, 4_102_444_800_000))  # the years 2000 to 2100
def test_revisions_have_exact_milliseconds(milliseconds: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert snapshot(session(1, last_updated=timestamp(moment))).revision.updated_ms == milliseconds


# -- versions in MongoDB


@given(st.sampled_from(SESSIONS), st.none() | st.integers(0, 10**9))
def test_a_mongodb_document_has_the_version_of_its_snapshot(name: str, ttl_ms: int | None) -> None:
    taken = snapshot(load(name), raw=raw(name), ttl_ms=ttl_ms)
    whole = MergedTrajectory(7, (Gap(0, 6), Gap(9, None)), 3, {"a.b": ActionCount(2, 1)})
    document, _ = document_of(taken, whole, NOW)
    assert mongo_version_of(document) == archived(
        taken,
        seen_at=NOW,
        first=7,
        actions=len(taken.actions),
        trajectory=taken.trajectory_digest,
        gaps=whole.gaps,
        overwritten_actions=3,
        action_counts=whole.counts,
    )
    assert decide(taken, mongo_version_of(document), WHERE) is Decision.NOTHING


@pytest.mark.parametrize("name", ["archived", "legacy"])
def test_documents_of_the_app_are_protected(name: str) -> None:
    from bson import json_util

    found = json_util.loads(raw(f"mongo_{name}_session.ejson").decode())
    version = mongo_version_of(found)
    assert version.protected
    with pytest.raises(Refused):
        decide(snapshot(session(1, version.session_id)), version, WHERE)


def test_a_snapshot_does_not_change_its_document() -> None:
    document = session(3)
    before = copy.deepcopy(document)
    taken = snapshot(document)
    _ = taken.action_counts, taken.actions, document_of(taken, MergedTrajectory(), NOW)
    assert taken.document == before == json.loads(taken.raw)

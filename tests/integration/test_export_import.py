"""Export, import and export again: the same file, whatever is in the sessions, and wherever they are."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from support.archives import ended, mark_expired, saved, session, snapshot, trimmed
from support.documents import APP_FILES, LAYOUTS, agent_key, diff_key, put, session_key
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.archive.base import ArchiveQuery
from awictl.archive.decision import ArchivedState
from awictl.document.history.moments import Moment
from awictl.errors import AwiError, InvalidData, Refused
from awictl.sessions.export.import_sessions import Imported

Open = Callable[[str], Any]


@pytest.fixture(params=["sqlite", "mongo"])
def site(request: pytest.FixtureRequest, valkey: ValkeyServer, settings: Settings, tmp_path: Path) -> Open:
    """Opens a manager of a site by name: each has an archive of its own, and finds Redis empty if it is another one."""
    current = ""

    @asynccontextmanager
    async def opened(name: str, **changes: Any) -> AsyncIterator[StateManager]:
        nonlocal current
        if current and name != current:
            valkey.raw.flushall()
        if request.param == "mongo":
            mongo: MongoServer = request.getfixturevalue("mongo")
            if current and name != current:
                mongo.clear()
            archived = replace(settings, mongodb_uri=mongo.uri)
        else:
            archived = replace(settings, archive_url=f"sqlite:///{tmp_path}/{name}.db")
        current = name
        async with StateManager.open(replace(archived, **changes)) as manager:
            yield manager

    return opened


async def exported(manager: StateManager, *ids: str, redact: list[str] | None = None) -> bytes:
    return b"".join([some async for some in manager.exports.export(ids, redact or [])])


async def imported(manager: StateManager, data: bytes, **options: Any) -> list[Imported | AwiError]:
    return [one async for one in manager.exports.import_file(BytesIO(data).read, "FILE", **options)]


def masked(data: bytes) -> list[Any]:
    """The lines of a file, in the order of their keys, without TTLs."""

    def without_ttl(pairs: list[tuple[str, Any]]) -> Any:
        return [(key, None if key == "ttl_ms" else value) for key, value in pairs]

    return [json.loads(line, object_pairs_hook=without_ttl) for line in data.splitlines()]


async def many_sessions(manager: StateManager, valkey: ValkeyServer) -> list[str]:
    """Sessions of all kinds: of the app and of awictl, live and archived, with and without earlier actions."""
    ids = []
    for number, path in enumerate(APP_FILES):
        raw = path.read_bytes()
        ids.append(
            put(
                valkey, raw.replace(json.loads(raw)["session_id"].encode(), b"sess_app%d" % number), f"sess_app{number}"
            )
        )
    await manager.initialize_session("agent-1", "Agent", "/posts", session_id="sess_trimmed")
    for t in range(12):
        await manager.update_state_with_delta("sess_trimmed", {"page_state": {"filters": {"q": f"ü\u2028{t}"}}})
    await manager.initialize_session("agent-2", "Agent", session_id="sess_ended")
    await manager.update_state_with_delta("sess_ended", {"page_state": {"route": "/x"}})
    await manager.end_session("sess_ended")
    archive = manager.required_archive()
    await saved(archive, snapshot(session(5, "sess_expired", agent_id="agent-3"), ttl_ms=1000))
    version = [one async for one in archive.live("") if one.session_id == "sess_expired"]
    assert await mark_expired(archive, version) == 1
    await saved(archive, snapshot(session(3, "sess_plain")), snapshot(trimmed(9, 4, "sess_chunks")[0]))
    # the app cut a session that was archived before
    first = session(6, "sess_cut", agent_id="agent-4")
    await saved(archive, snapshot(first))
    later = copy.deepcopy(session(9, "sess_cut", agent_id="agent-4"))
    later["history"]["actions"] = later["history"]["actions"][5:]
    for one in later["history"]["actions"]:
        one["t"] = 100
    put(valkey, LAYOUTS["app"](later), "sess_cut")
    # another writer overwrote an action that was archived before
    await saved(archive, snapshot(session(4, "sess_over", agent_id="agent-5")))
    other = session(5, "sess_over", agent_id="agent-5")
    other["history"]["actions"][3] = {**other["history"]["actions"][3], "observation": "another"}
    await saved(
        archive, replace(snapshot(other), newer_than=snapshot(session(4, "sess_over", agent_id="agent-5")).digest)
    )
    # twice: what stands between the overwritten ones is not archived only
    more = copy.deepcopy(other)
    more["history"]["actions"][4] = {**more["history"]["actions"][4], "observation": "yet another"}
    await saved(archive, replace(snapshot(more), newer_than=snapshot(other).digest))
    # all that was archived was cut, and nobody knows how many more
    before = snapshot(session(3, "sess_gap", agent_id="agent-6"))
    later = session(3, "sess_gap", agent_id="agent-6")
    for number, one in enumerate(later["history"]["actions"]):
        one |= {"action": "next_page", "observation": f"later {number}"}
    await saved(archive, before)
    await saved(archive, replace(snapshot(later), newer_than=before.digest))
    return [
        *ids,
        "sess_gap",
        "sess_trimmed",
        "sess_ended",
        "sess_expired",
        "sess_plain",
        "sess_chunks",
        "sess_cut",
        "sess_over",
    ]


async def test_export_import_and_export_again_give_the_same_file(site: Open, valkey: ValkeyServer) -> None:
    async with site("first", max_actions=5) as manager:
        ids = await many_sessions(manager, valkey)
        before = await exported(manager, *ids)
        assert masked(await exported(manager, *ids)) == masked(before)
    lines = [json.loads(line) for line in before.splitlines()]
    heads = {one["session"]: one for one in lines if "session" in one}
    assert heads["sess_trimmed"]["archived"] == 8 and heads["sess_cut"]["archived"] >= 5
    assert heads["sess_chunks"]["gaps"] == [[0, 3]] and heads["sess_expired"]["state"] == "expired"
    assert [one for one in lines if one.get("overwritten")] != []
    assert heads["sess_gap"]["gaps"] != [] and None in [last for _, last in heads["sess_gap"]["gaps"]]
    assert lines[0] == {"awictl_export": 1, "redaction": None}
    assert lines[-1]["end"] == {
        "sessions": len(ids),
        "actions": len([one for one in lines if "ordinal" in one]),
        "redacted": {},
    }
    async with site("second") as manager:
        outcomes = await imported(manager, before)
        assert [one.outcome for one in outcomes if isinstance(one, Imported)] == ["imported"] * len(ids)
        assert masked(await exported(manager, *ids)) == masked(before)
        again = await imported(manager, before)
        assert [one.outcome for one in again if isinstance(one, Imported)] == ["already there"] * len(ids)
        assert masked(await exported(manager, *ids)) == masked(before)


async def test_a_live_session_keeps_its_keys(site: Open, valkey: ValkeyServer) -> None:
    async with site("first") as manager:
        await manager.initialize_session("agent-1", "Agent", session_id="sess_a", ttl_ms=100_000)
        await manager.update_state_with_delta("sess_a", {"page_state": {"route": "/x"}})
        valkey.raw.pexpire(session_key("sess_a"), 100_000)
        stored, diff = valkey.raw.get(session_key("sess_a")), valkey.raw.get(diff_key("sess_a"))
        data = await exported(manager, "sess_a")
    async with site("second") as manager:
        await imported(manager, data)
    assert json.loads(valkey.raw.get(session_key("sess_a"))) == json.loads(stored)
    assert json.loads(valkey.raw.get(diff_key("sess_a"))) == json.loads(diff)
    assert valkey.raw.get(agent_key("agent-1")) == b"sess_a"
    assert 0 < valkey.raw.pttl(session_key("sess_a")) <= 100_000
    assert 0 < valkey.raw.pttl(diff_key("sess_a")) <= 300_000
    # an agent that is mapped to another session stays mapped to that one
    valkey.raw.delete(session_key("sess_a"))
    valkey.raw.set(agent_key("agent-1"), "sess_other")
    async with site("second") as manager:
        [outcome] = await imported(manager, data)
    assert isinstance(outcome, Imported) and outcome.agent_session == "sess_other"


@pytest.mark.parametrize("keys", [{}, {"session": {}}, {"session": {"ttl_ms": 0}}, {"session": {"ttl_ms": None}}])
async def test_the_usual_ttl_is_set_if_none_is_known(keys: Any, valkey: ValkeyServer, manager: StateManager) -> None:
    head, *rest = file_of(session(2, "sess_a"))
    await imported(manager, joined(head | {"keys": keys}, *rest))
    ttl = valkey.raw.pttl(session_key("sess_a"))
    assert ttl == -1 if keys == {"session": {"ttl_ms": None}} else 1_700_000 < ttl <= 1_800_000


def file_of(document: dict[str, Any], **fields: Any) -> list[dict[str, Any]]:
    """The lines of a session in a file."""
    actions = document["history"]["actions"]
    head = {
        "session": document["session_id"],
        "where": "live",
        "state": "live",
        "ended_at": None,
        "keys": {},
        "gaps": [],
        "first": 0,
        "actions": len(actions),
        "archived": 0,
        "document": {**document, "history": {**document["history"], "actions": []}},
    }
    return [head | fields, *({"ordinal": ordinal, "action": one} for ordinal, one in enumerate(actions))]


def joined(*lines: Any, end: bool = True) -> bytes:
    """A file with these lines."""
    sessions = sum("session" in one for one in lines)
    counts = {"sessions": sessions, "actions": len(lines) - sessions, "redacted": {}}
    every = [{"awictl_export": 1, "redaction": None}, *lines, *([{"end": counts}] if end else [])]
    return b"".join(json.dumps(one).encode() + b"\n" for one in every)


# -- conflicts


async def test_nothing_is_overwritten(site: Open, valkey: ValkeyServer) -> None:
    live, archived = file_of(session(2, "sess_live")), file_of(session(2, "sess_arch"), where="archived")
    data = joined(*live, *archived, *file_of(session(1, "sess_new", agent_id="agent-9")))
    async with site("first") as manager:
        put(valkey, LAYOUTS["app"](session(3, "sess_live")), "sess_live")
        await saved(manager.required_archive(), snapshot(session(3, "sess_arch")))
        before = await exported(manager, "sess_live", "sess_arch")
        outcomes = await imported(manager, data)
        assert [type(one) for one in outcomes] == [Refused, Refused, Imported]
        assert "--as-new" in str(outcomes[0]) and "sess_arch" in str(outcomes[1])
        assert masked(await exported(manager, "sess_live", "sess_arch")) == masked(before)
        # a session that is live in one place and archived in the other
        outcomes = await imported(manager, joined(*file_of(session(3, "sess_live"), where="archived")))
        assert [type(one) for one in outcomes] == [Refused]
        outcomes = await imported(manager, joined(*file_of(session(4, "sess_arch"))))
        assert [type(one) for one in outcomes] == [Refused]


async def test_as_new_gives_new_ids_and_says_where_from(site: Open, valkey: ValkeyServer) -> None:
    data = joined(
        *file_of(session(2, "sess_live")), *file_of(ended(session(2, "sess_arch")), where="archived", state="ended")
    )
    async with site("first") as manager:
        await imported(manager, data)
        outcomes = await imported(manager, data, as_new=True)
        live, archived = [one for one in outcomes if isinstance(one, Imported)]
        assert live.original_id == "sess_live" and live.session_id not in ("sess_live", "sess_arch")
        document = await manager.get_session_state(live.session_id)
        assert document is not None and document["session_id"] == live.session_id
        assert document["forked_from"] == {"session_id": "sess_live", "t": 1, "ordinal": 1}
        kept = await manager.get_archived_session(archived.session_id)
        assert kept is not None and kept.document["forked_from"]["session_id"] == "sess_arch"
        again = await imported(manager, data, as_new=True)
        assert [one.outcome for one in again if isinstance(one, Imported)] == ["already there"] * 2
        await manager.update_state_with_delta(live.session_id, {"note": 1})
        changed = (await imported(manager, data, as_new=True))[0]
        assert isinstance(changed, Refused) and f"`awictl session fork {live.session_id} --at T`" in str(changed)
        assert "--as-new" not in str(changed)


async def test_as_new_no_agent_is_given_the_copy_and_what_was_unknown_stays_so(
    manager: StateManager, valkey: ValkeyServer
) -> None:
    session_id = (await manager.initialize_session("a", "Agent"))["session_id"]
    document = json.loads(valkey.raw.get(session_key(session_id)))  # type: ignore[arg-type]
    del document["agent_name"]
    document["forked_from"] = {"session_id": "sess_first", "t": 0, "ordinal": 0, "unknown": ["/agent_name"]}
    put(valkey, LAYOUTS["app"](document), session_id)
    assert (await manager.verifier.verify(session_id)).is_sound
    data = await exported(manager, session_id)
    valkey.raw.delete(agent_key("a"))
    [outcome] = await imported(manager, data, as_new=True)
    assert isinstance(outcome, Imported) and outcome.agent_session is None
    assert await manager.get_agent_session("a") is None, "its next request would go on in the copy"
    assert (await manager.verifier.verify(outcome.session_id)).is_sound


async def test_a_dry_run_writes_nothing(site: Open, valkey: ValkeyServer) -> None:
    data = joined(*file_of(session(2, "sess_live")), *file_of(session(2, "sess_arch"), where="archived"))
    async with site("first", read_only=True) as manager:
        outcomes = await imported(manager, data, dry_run=True)
        assert [one.outcome for one in outcomes if isinstance(one, Imported)] == ["would be imported"] * 2
        assert valkey.raw.keys() == []
        with pytest.raises(AwiError, match="read-only"):
            await imported(manager, data)


async def test_without_an_archive_earlier_actions_go_into_the_document(manager: StateManager) -> None:
    whole = session(8, "sess_a")
    document, cut = trimmed(8, 3, "sess_a")
    own = document["history"]["actions"]
    head, *_ = file_of(document, first=3, archived=3)
    lines = [{"ordinal": t, "archived": True, "action": one} for t, one in enumerate(cut)]
    lines += [{"ordinal": t, "action": one} for t, one in enumerate(own, 3)]
    data = joined(head, *lines)
    [outcome] = await imported(manager, data)
    assert isinstance(outcome, Imported)
    assert await manager.get_session_state("sess_a") == whole
    async with StateManager.open(replace(manager.settings, max_actions=7)) as smaller:
        [outcome] = await imported(smaller, data.replace(b"sess_a", b"sess_b"))
        assert isinstance(outcome, Refused) and "archive" in str(outcome)
        [outcome] = await imported(smaller, joined(*file_of(whole, where="archived")))
        assert isinstance(outcome, Refused)


# -- files that are not valid


def damaged() -> list[tuple[str, bytes, int]]:
    """Files that are not valid, with what the message says of each, and the line it names."""
    good = file_of(session(2, "sess_a"))
    head = good[0]
    text = joined(*good)
    lines = text.splitlines(keepends=True)
    return [
        ("not a file of", b"", 1),
        ("not a file of", b"{}\n", 1),
        ("not a file of", b'{"awictl_export":true}\n', 1),
        ("version 2", text.replace(b'"awictl_export": 1', b'"awictl_export": 2'), 1),
        ("not valid JSON", b"\x00\xff\n", 1),
        ("cut off", b"".join(lines[:2]), 2),
        ("cut off", b"".join(lines[:-1]), 4),
        ("cut off", text[:-5], 5),
        ("longer than", lines[0] + b'{"a":"' + b"x" * 3_000_000 + b'"}\n', 2),
        ("not valid JSON", lines[0] + b"[" * 200_000 + b"\n", 2),
        ("is not a session id", joined(*file_of(session(1, "sess_\x1b[31m"))), 2),
        ("is not a session id", joined(*file_of(session(1, "sess_../a"))), 2),
        ("another session", joined(head | {"session": "sess_b"}, *good[1:]), 2),
        ("twice", joined(*good, *good), 5),
        ("Expected `object`", joined(head | {"document": []}, *good[1:]), 2),
        ("no history.actions", joined(head | {"document": {"history": {"actions": [1]}}}, *good[1:]), 2),
        ("$.first", joined(head | {"first": -1}, *good[1:]), 2),
        ("$.actions", joined(head | {"actions": 10**30}, *good[1:]), 2),
        ("unknown field", joined(head | {"more": 1}, *good[1:]), 2),
        ("$.where", joined(head | {"where": "there"}, *good[1:]), 2),
        ("$.keys.session.ttl_ms", joined(head | {"keys": {"session": {"ttl_ms": 10**30}}}, *good[1:]), 2),
        ("$.keys.session.ttl_ms", joined(head | {"keys": {"session": {"ttl_ms": "1"}}}, *good[1:]), 2),
        ("ended_at", joined(head | {"ended_at": "now"}, *good[1:]), 2),
        ("agent", joined(head | {"keys": {"agent": {"agent_id": "a\n", "ttl_ms": 1}}}, *good[1:]), 2),
        ("another agent", joined(head | {"keys": {"agent": {"agent_id": "a", "ttl_ms": 1}}}, *good[1:]), 2),
        ("action 1", joined(head, good[1], good[1]), 4),
        ("after action", joined(head | {"archived": 1}, *good[1:], {"ordinal": 0, "archived": True, "action": 1}), 5),
        ("of its own", joined(head, good[1], good[2] | {"archived": True}), 4),
        ("surrogate", joined(head | {"where": "\ud800"}, *good[1:]), 2),
        ("surrogate", joined(head, good[1], good[2] | {"overwritten": "\ud800"}), 4),
        ("should have", joined(*good).replace(b'"sessions": 1', b'"sessions": 2'), 5),
        ("after the last", joined(*good) + b"{}\n", 6),
    ]


@pytest.mark.parametrize("case", range(len(damaged())))
async def test_a_file_that_is_not_valid_is_refused_by_line(case: int, settings: Settings, valkey: ValkeyServer) -> None:
    message, data, number = damaged()[case]
    async with StateManager.open(replace(settings, max_document_bytes=1_000_000)) as manager:
        with pytest.raises(InvalidData) as caught:
            await imported(manager, data)
    assert message in str(caught.value) and f"FILE, line {number}: " in str(caught.value)
    assert str(caught.value).isprintable()
    names = set(valkey.raw.keys())
    is_complete = message in ("cut off", "twice", "should have", "after the last") and number >= 4
    assert names == ({session_key("sess_a").encode()} if is_complete else set())


async def test_sessions_before_a_damaged_one_are_imported_and_none_of_it(manager: StateManager) -> None:
    good, bad = file_of(session(2, "sess_a")), file_of(session(3, "sess_b"))
    data = joined(*good, *bad[:-1], end=False)
    found = []
    with pytest.raises(InvalidData, match="sess_b"):
        async for one in manager.exports.import_file(BytesIO(data).read, "FILE"):
            found.append(one)
    assert [one.session_id for one in found if isinstance(one, Imported)] == ["sess_a"]
    assert await manager.get_session_state("sess_a") is not None
    assert [batch async for batch in manager.list_session_ids()] == [["sess_a"]]


# -- redaction


async def test_a_redacted_export_is_imported_and_its_deltas_give_its_state(site: Open) -> None:
    async with site("first", max_actions=4) as manager:
        await manager.initialize_session("agent-1", "bob@example.org", session_id="sess_a")
        for number in range(9):
            delta = {"page_state": {"filters": {"q": f"u{number % 3}@example.org", "secret word": "swordfish"}}}
            action = {"action": "search", "input": {"q": f"u{number % 3}@example.org has swordfish"}}
            await manager.update_state_with_delta("sess_a", delta, action)
        redact = ["default", "/page_state/filters/secret word", "/users/bob@example.org"]
        data = await exported(manager, "sess_a", redact=redact)
    assert b"example.org" not in data and b"swordfish" not in data
    lines = [json.loads(line) for line in data.splitlines()]
    assert lines[0]["redaction"]["pointers"] == ["/page_state/filters/secret word", "/users/<email-1>"]
    assert "email" in lines[0]["redaction"]["patterns"]
    assert lines[-1]["end"]["redacted"]["email"]["values"] == 4
    assert lines[-1]["end"]["redacted"]["value"]["values"] == 1
    async with site("second") as manager:
        await imported(manager, data)
        whole = await manager.time_travel.whole("sess_a")
        states = list(whole.timeline.states())
        assert whole.timeline.beginning_known and not whole.timeline.beginning_conflicts
        assert not any(one.conflicts or one.unknown for one in states)
        assert states[-1].head["page_state"]["filters"]["q"].startswith("<email-")
        assert masked(await exported(manager, "sess_a"))[1:-1] == masked(data)[1:-1]


# -- other places, and odd sessions


async def test_from_redis_to_mongodb_as_the_live_store_and_back(
    manager: StateManager, valkey: ValkeyServer, mongo: MongoServer
) -> None:
    await manager.initialize_session("agent-1", "Agent", session_id="sess_a")
    await manager.update_state_with_delta("sess_a", {"page_state": {"route": "/x"}})
    before = await exported(manager, "sess_a")
    valkey.raw.flushall()
    async with StateManager.open(Settings(use_redis=False, mongodb_uri=mongo.uri)) as other:
        assert [one.outcome for one in await imported(other, before) if isinstance(one, Imported)] == ["imported"]
        there = await exported(other, "sess_a")
    await imported(manager, there)
    assert masked(there) == masked(before) == masked(await exported(manager, "sess_a"))


async def test_a_deeply_nested_session(site: Open, valkey: ValkeyServer) -> None:
    deep: Any = "bob@example.org"
    for _ in range(700):
        deep = [deep]
    document = session(2, "sess_a") | {"deep": deep}
    document["history"]["actions"][1]["delta"] = {"deep": deep}
    raw = b'{"session_id":"sess_a",' + json.dumps(document).encode()[1:]
    async with site("first") as manager:
        put(valkey, raw, "sess_a")
        data = await exported(manager, "sess_a")
        redacted = await exported(manager, "sess_a", redact=["default"])
        assert b"bob@example.org" not in redacted and redacted.count(b"<email-1>") == 3
    async with site("second") as manager:
        assert [one.outcome for one in await imported(manager, data) if isinstance(one, Imported)] == ["imported"]
        assert masked(await exported(manager, "sess_a")) == masked(data)


# -- any session


texts = st.sampled_from(["", "a", "é\u2028", '"\\', "\ud800", "t", "op_id", "history", "actions", "\n]}}"]) | st.text(
    max_size=3
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def documents(draw: st.DrawFn, session_id: str) -> dict[str, Any]:
    """A session document with unknown fields, in any order, with the numbers of the app or of awictl."""
    count, first = draw(st.integers(0, 5)), draw(st.sampled_from([0, 0, 3, 100]))
    sticks = draw(st.booleans()) and first == 100
    actions: list[Any] = [
        {"action": draw(texts), "t": first if sticks else first + number, "delta": draw(values)}
        for number in range(count)
    ]
    if draw(st.booleans()):
        actions = [{"t": one.pop("t"), **one} for one in actions]
    fields = [
        ("session_id", session_id),
        ("history", {"actions": actions, "last_action": actions[-1] if actions else None, "x": draw(values)}),
        *draw(st.dictionaries(texts.filter(lambda one: one != "history"), values, max_size=3)).items(),
        ("statistics", {"total_actions": draw(st.sampled_from([0, count, count + first]))}),
    ]
    draw(st.randoms()).shuffle(fields)
    return dict(fields)


@pytest.mark.parametrize("where", ["live", "archived"])
async def test_any_session_survives_a_round_trip(
    where: str, valkey: ValkeyServer, settings: Settings, tmp_path: Path
) -> None:
    """Byte for byte, since these have no TTL."""
    found: list[dict[str, Any]] = []

    @given(documents("sess_x"))
    @hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def draw(document: dict[str, Any]) -> None:
        found.append(document)

    draw()
    chance = random.Random(1)
    raws: dict[str, bytes] = {}
    for number, document in enumerate(found):
        session_id = f"sess_{number}"
        document["session_id"] = session_id
        layout = chance.choice(list(LAYOUTS.values())) if not has_surrogates(document) else LAYOUTS["awictl"]
        raws[session_id] = layout(document)
    files = []
    for name in ("a.db", "b.db"):
        async with StateManager.open(replace(settings, archive_url=f"sqlite:///{tmp_path}/{name}")) as manager:
            if files:
                outcomes = await imported(manager, files[0])
                assert [one for one in outcomes if not isinstance(one, Imported)] == []
            else:
                for session_id, raw in raws.items():
                    if where == "live":
                        valkey.raw.set(session_key(session_id), raw)
                    else:
                        await saved(manager.required_archive(), snapshot({"session_id": session_id}, raw=raw))
            files.append(await exported(manager, *raws))
            valkey.raw.flushall()
    assert files[0] == files[1]


def has_surrogates(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


def test_states_of_the_format_are_those_of_the_archive() -> None:
    from typing import get_args, get_type_hints

    from awictl.sessions.export.file_format import SessionLine

    assert set(get_args(get_type_hints(SessionLine)["state"])) == {one.value for one in ArchivedState}


async def test_what_the_app_kept_a_part_of_stays_a_part(
    settings: Settings, valkey: ValkeyServer, mongo: MongoServer, tmp_path: Path
) -> None:
    """The app archived it without deltas and most of the state: an import makes no whole session of that."""
    mongo.put_app_documents()
    async with StateManager.open(replace(settings, mongodb_uri=mongo.uri)) as manager:
        ids = [one.session_id async for one in manager.required_archive().find(ArchiveQuery())]
        before = await exported(manager, *ids)
        states = [(await manager.time_travel.state_at(one, Moment(ordinal=1)))[1] for one in ids]
    async with StateManager.open(replace(settings, archive_url=f"sqlite:///{tmp_path}/a.db")) as manager:
        assert {one.outcome for one in await imported(manager, before) if isinstance(one, Imported)} == {"imported"}
        assert await exported(manager, *ids) == before
        for session_id, state in zip(ids, states, strict=True):
            assert state.unknown and (await manager.verifier.verify(session_id)).differences == []
            assert (await manager.time_travel.state_at(session_id, Moment(ordinal=1)))[1].unknown == state.unknown


async def test_the_last_delta_is_not_of_a_later_update(manager: StateManager) -> None:
    session_id = (await manager.initialize_session("a", "Agent"))["session_id"]
    await manager.update_state_with_delta(session_id, {"n": 1})
    whole = await manager.time_travel.whole(session_id)
    assert (await manager.exports.exported(whole)).head["keys"]["diff"]["value"]["delta"] == {"n": 1}
    await manager.update_state_with_delta(session_id, {"n": 2})
    assert "diff" not in (await manager.exports.exported(whole)).head["keys"]

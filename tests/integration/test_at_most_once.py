"""An update whose reply was lost is never applied twice, whoever trimmed actions before it is retried."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli
from support.documents import APP_FILES, SESSION_ID, app_update, compact, document, plain, put, stored
from support.mongo_live import HAS_AN_ARCHIVE, needs_redis
from support.proxy import Cut, once, proxied
from support.valkey import ValkeyServer

from awictl import OutcomeUnknown, StateManager
from awictl.document.byte_layout import encode
from awictl.document.keys import new_op_id

LIMIT = 10
#: Documents, some with over 100 actions: as the app wrote them, and as awictl did.
LONG = {
    "app, trimmed": APP_FILES[3].read_bytes(),
    "app, 100 actions": compact(document([0] * 100)),
    "awictl": encode(document([0] * 130)),
    "a new one": encode(document()),
}


def put_long(valkey: ValkeyServer, name: str) -> int:
    """Store a document. Returns the number of actions in its statistics."""
    made: dict[str, Any] = plain(LONG[name]) | {"session_id": SESSION_ID}
    put(valkey, compact(made) if name.startswith("app") else encode(made))
    return int(made["statistics"]["total_actions"])


def total(valkey: ValkeyServer) -> int:
    """The number of updates, according to the statistics."""
    return int(plain(stored(valkey))["statistics"]["total_actions"])


def stamp(ago: timedelta = timedelta()) -> str:
    moment = datetime.now(UTC) - ago
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def op_id_from(ago: timedelta) -> str:
    """An op_id as awictl creates it, by a clock that showed this time."""
    milliseconds = int((time.time() - ago.total_seconds()) * 1000)
    return f"op_{milliseconds:012x}{new_op_id()[15:]}"


@pytest.fixture
def awictl(valkey: ValkeyServer, tmp_path: Path) -> Cli:
    """A user of the Valkey server of this worker."""
    return Cli.at(tmp_path / "home", REDIS_SOCKET=str(valkey.socket))


# -- the app trims


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("writes", [50, pytest.param(99, marks=pytest.mark.soak), 110])
@pytest.mark.parametrize("cut", [Cut.REPLY, Cut.REQUEST])
async def test_the_app_writes_before_an_internal_retry(valkey: ValkeyServer, name: str, writes: int, cut: Cut) -> None:
    before = put_long(valkey, name)
    async with proxied(valkey) as proxy, StateManager.open(proxy.settings()) as manager:
        await manager.store.ping()

        async def app_writes() -> None:
            for _ in range(writes):
                app_update(valkey, now=stamp())

        proxy.before_cut = app_writes
        proxy.rule = once(cut, b"counter")
        unknown = False
        try:
            await manager.apply(SESSION_ID, {"counter": 1})
        except OutcomeUnknown:
            unknown = True
        assert proxy.all_cuts == 1
    expected = int(cut is Cut.REPLY) if unknown else 1
    assert total(valkey) == before + writes + expected
    assert not unknown or writes > 90, "so few writes of the app do not hide an action"


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("op_id", [None, "import-7"], ids=["a generated op_id", "an own one"])
def test_a_retry_after_110_writes_of_the_app_is_refused(
    awictl: Cli, valkey: ValkeyServer, name: str, op_id: str | None
) -> None:
    """As after exit code 7: the op_id in its message is passed again."""
    put_long(valkey, name)
    op_id = op_id or op_id_from(timedelta(minutes=1))
    made = plain(stored(valkey))
    record = {"t": 7, "action": "x", "input": {}, "delta": {}, "timestamp": stamp(), "op_id": op_id}
    made["history"] |= {"actions": [*made["history"]["actions"], record], "last_action": record}
    made["statistics"]["total_actions"] += 1
    put(valkey, encode(made))
    for _ in range(110):
        app_update(valkey, now=stamp())
    before = stored(valkey)
    again = awictl("session", "apply", SESSION_ID, '{"counter":1}', "--op-id", op_id)
    again.error(7, op_id, "trimmed", "nothing was written")
    assert stored(valkey) == before
    # a new update is not affected
    awictl.ok("session", "apply", SESSION_ID, '{"counter":2}')


async def test_a_repeat_after_150_updates_of_the_app_is_refused(awictl: Cli, valkey: ValkeyServer) -> None:
    """The app never sets `history.trimmed_actions`; its own 100 actions have cut the one with the op_id."""
    put(valkey, compact(document()))
    awictl.ok("session", "apply", SESSION_ID, '{"counter":1}', "--op-id", "import-7")
    for _ in range(150):
        app_update(valkey, now=stamp())
    before = stored(valkey)
    assert "trimmed_actions" not in plain(before)["history"]
    awictl("session", "apply", SESSION_ID, '{"counter":2}', "--op-id", "import-7").error(7, "import-7", "trimmed")
    assert stored(valkey) == before


@pytest.mark.parametrize(
    "missing",
    [
        {"first": 1, "total": 20},
        {"first": 0, "total": 30},
        {"first": 5, "total": 24},
    ],
    ids=["the first t is above 0", "fewer actions than counted", "both"],
)
@pytest.mark.parametrize("layout", [compact, encode])
async def test_the_signs_of_trimming(manager: StateManager, valkey: ValkeyServer, missing: Any, layout: Any) -> None:
    made = document([0] * 20)
    for one in made["history"]["actions"]:
        one |= {"t": one["t"] + missing["first"], "timestamp": stamp(timedelta(hours=23))}
    made["history"]["last_action"] = made["history"]["actions"][-1]
    made["statistics"]["total_actions"] = missing["total"]
    put(valkey, layout(made))
    with pytest.raises(OutcomeUnknown, match="import-7"):
        await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": "import-7"})
    put(valkey, layout(document([0] * 20)))
    assert (await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": "import-7"})).action is not None
    assert (await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": "import-7"})).action is None


# -- awictl trims


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(minutes=1), timedelta(hours=23)], ids=str)
async def test_an_op_id_from_a_host_whose_clock_is_ahead(valkey: ValkeyServer, ahead: timedelta) -> None:
    needs_redis(valkey, HAS_AN_ARCHIVE)
    op_id = op_id_from(-ahead)
    async with StateManager.open(valkey.settings(max_actions=LIMIT)) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": op_id})
        for n in range(3 * LIMIT):
            await manager.update_state_with_delta(SESSION_ID, {"n": n})
        before = stored(valkey)
        with pytest.raises(OutcomeUnknown, match=op_id):
            await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": op_id})
    assert stored(valkey) == before


@pytest.mark.parametrize(
    ("oldest", "made", "known"),
    [
        (timedelta(minutes=30), timedelta(minutes=20), False),
        (timedelta(hours=20), timedelta(minutes=1), False),
        (timedelta(minutes=20), timedelta(minutes=30), False),
        (timedelta(days=3), timedelta(minutes=20), True),
        (timedelta(minutes=30), timedelta(0), True),
    ],
    ids=["by a clock that may be ahead", "by one far ahead", "trimmed", "kept for days", "just created"],
)
async def test_the_time_in_an_op_id_proves_only_so_much(
    manager: StateManager, valkey: ValkeyServer, oldest: timedelta, made: timedelta, known: bool
) -> None:
    """An hour later, the time of a clock that is an hour ahead is not in the future any more."""
    trimmed = document([0] * 30)
    actions = trimmed["history"]["actions"][20:]
    for one in actions:
        one["timestamp"] = stamp(oldest)
    trimmed["history"] = {"actions": actions, "last_action": actions[-1], "trimmed_actions": 20}
    put(valkey, encode(trimmed))
    op_id = op_id_from(made)
    if known:
        assert (await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": op_id})).action is not None
    else:
        with pytest.raises(OutcomeUnknown, match=op_id):
            await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": op_id})


@pytest.mark.parametrize(("oldest", "known"), [(timedelta(hours=23), False), (timedelta(hours=25), True)], ids=str)
async def test_an_own_op_id_is_not_older_than_a_day(
    manager: StateManager, valkey: ValkeyServer, oldest: timedelta, known: bool
) -> None:
    """If all actions of the last day are kept, it was not applied, although earlier ones were trimmed."""
    made = document([0] * 100) | {"statistics": {"total_actions": 300}}
    for one in made["history"]["actions"]:
        one["timestamp"] = stamp(oldest)
    put(valkey, compact(made))
    if known:
        assert (await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": "import-7"})).action is not None
    else:
        with pytest.raises(OutcomeUnknown, match="import-7"):
            await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": "import-7"})


@pytest.mark.parametrize("op_id", ["import-7", "generated"])
async def test_trimmed_actions_are_found_in_the_archive(valkey: ValkeyServer, tmp_path: Path, op_id: str) -> None:
    """With an archive, the outcome is known, however often the session was trimmed, and whatever a clock shows."""
    op_id = op_id if op_id != "generated" else op_id_from(-timedelta(hours=1))
    settings = valkey.settings(max_actions=LIMIT, archive_url=f"sqlite:///{tmp_path}/archive.db")
    async with StateManager.open(settings) as manager:
        await manager.initialize_session("agent", "Agent", session_id=SESSION_ID)
        await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": op_id})
        for n in range(3 * LIMIT):
            await manager.update_state_with_delta(SESSION_ID, {"n": n})
        before = stored(valkey)
        assert (await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": op_id})).action is None
        assert stored(valkey) == before
        assert (await manager.apply(SESSION_ID, {"counter": 2}, {"op_id": "import-8"})).action is not None
        assert (await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": op_id})).action is None
        with pytest.MonkeyPatch.context() as patch:  # the archive is not loaded again until more is trimmed
            patch.setattr(type(manager.required_archive()), "load_trimmed_actions", None)
            assert (await manager.apply(SESSION_ID, {"counter": 1}, {"op_id": op_id})).action is None
        for n in range(2 * LIMIT):
            await manager.apply(SESSION_ID, {"counter": 2}, {"op_id": f"most-{n}"})
        assert (await manager.apply(SESSION_ID, {"counter": 2}, {"op_id": "most-0"})).action is None
        # but not if some are missing there
        for _ in range(110):
            app_update(valkey, now=stamp())
        with pytest.raises(OutcomeUnknown, match="import-9"):
            await manager.apply(SESSION_ID, {"counter": 3}, {"op_id": "import-9"})

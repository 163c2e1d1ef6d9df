"""The list of sessions of the inspector on a clock of the test: what is read when, and the orders of the rows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from awictl.errors import AccessDenied, Refused, Unreachable
from awictl.sessions.summaries import SessionState
from awictl.sessions.where.fields import Place
from awictl.ui.listing import fresh, slices
from awictl.ui.listing import listing as module
from awictl.ui.listing.clock import ListClock
from awictl.ui.listing.listing import SessionListing
from awictl.ui.listing.listings import LINGER_SECONDS, Listings
from awictl.ui.listing.rows import SORTS, UNKNOWN, Columns, Row
from awictl.ui.listing.table import RowOrder, Table
from awictl.ui.listing.window import Window, WindowQuery
from awictl.util.fingerprint_set import FingerprintSet

BY_ID = RowOrder("id", descending=False)


def row(session_id: str, place: Place = Place.LIVE, **fields: Any) -> Row:
    made = Row(session_id, "agent", None, "/", 1, 0, 1_000, 2_000_000, 100, SessionState.LIVE.value, place.value)
    return msgspec.structs.replace(made, **fields)


def columns(rows: list[Row], place: Place = Place.LIVE) -> Columns:
    made = Columns(place)
    made.extend(rows)
    return made


class FakeClock(ListClock):
    """A clock that only `pass_by` moves."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        until = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.time + seconds, until))
        await until

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and all tasks do what they do meanwhile."""
        end = self.time + seconds + 1e-9
        await settle()
        while self._sleepers and (first := min(self._sleepers, key=lambda one: one[0]))[0] <= end:
            self._sleepers.remove(first)
            self.time = max(self.time, first[0])
            if not first[1].done():
                first[1].set_result(None)
            await settle()
        self.time = end


async def settle() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


class FakeSource:
    """Sessions that a test sets."""

    name = "Redis"
    has_archive = True

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.live_rows: list[Row] = []
        self.archived_rows: list[Row] = []
        #: How long scans take, and how they fail.
        self.live_seconds = self.archived_seconds = 0.0
        self.error: Exception | None = None
        self.is_paced = False
        #: When scans began, which sessions were looked at, and how these are now.
        self.scans: list[tuple[str, float]] = []
        self.looked_at: list[list[str]] = []
        self.now: dict[str, Row] = {}

    async def keys(self) -> int:
        return 1_000

    async def live(self, where: str | None, seen: FingerprintSet) -> AsyncGenerator[tuple[int, list[Row]], None]:
        self.scans.append(("live", self.clock.time))
        if self.error is not None:
            raise self.error
        rows = [*self.live_rows]
        for half in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
            await self.clock.sleep(self.live_seconds / 2)
            seen.add_new(one.session_id for one in half)
            yield len(half), half

    async def archived(self, where: str | None) -> AsyncGenerator[tuple[int, list[Row]], None]:
        self.scans.append(("archived", self.clock.time))
        rows = [*self.archived_rows]
        await self.clock.sleep(self.archived_seconds)
        yield len(rows), rows

    async def changed(self, rows: list[Row], known: dict[str, Any]) -> list[Row]:
        self.looked_at.append([one.session_id for one in rows])
        if self.error is not None:
            raise self.error
        return [new for one in rows if (new := self.now.get(one.session_id, one)) != one]

    def starts(self, kind: str) -> list[float]:
        return [at for name, at in self.scans if name == kind]


class Page:
    """A page that shows a part of a list: the last window of it."""

    def __init__(self, windows: AsyncGenerator[Window, None]) -> None:
        self._windows = windows
        self.window: Window | None = None
        self.sent = 0
        self.error: BaseException | None = None
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            async with aclosing(self._windows) as windows:
                async for self.window in windows:
                    self.sent += 1
        except Exception as error:
            self.error = error

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def ids(self) -> list[str]:
        assert self.window is not None
        return [one.session_id for one in self.window.rows]


class Scene:
    """A list, and pages of it."""

    def __init__(self, *, archived: bool = False) -> None:
        self.clock = FakeClock()
        self.source = FakeSource(self.clock)
        self.listing = SessionListing(self.source, None, archived=archived, clock=self.clock)  # type: ignore[arg-type]
        self._task = asyncio.create_task(self.listing.run())
        self._pages: list[Page] = []

    def page(self, offset: int = 0, limit: int = 10, order: RowOrder = BY_ID) -> Page:
        self._pages.append(Page(self.listing.windows(WindowQuery(order, offset, limit))))
        return self._pages[-1]

    async def close(self) -> None:
        for page in self._pages:
            await page.close()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def scenes() -> AsyncIterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(**options: Any) -> Scene:
        made.append(Scene(**options))
        return made[-1]

    yield make
    for scene in made:
        await scene.close()


async def test_rows_appear_as_they_are_found(scenes: Callable[..., Scene]) -> None:
    scene = scenes()
    scene.source.live_rows = [row("sess_c"), row("sess_b"), row("sess_a"), row("sess_d")]
    scene.source.live_seconds = 10.0
    page = scene.page()
    await scene.clock.pass_by(4.9)
    assert page.window is not None
    assert (page.window.total, page.window.complete, page.window.keys) == (0, False, 1_000)
    await scene.clock.pass_by(0.4)
    assert (page.window.total, page.window.read, page.window.complete) == (2, 2, False)
    await scene.clock.pass_by(5.0)
    assert (page.ids, page.window.complete) == (["sess_a", "sess_b", "sess_c", "sess_d"], True)
    scene.source.live_seconds = 0.001
    await scene.clock.pass_by(61.0)
    sent, scans = page.sent, len(scene.source.scans)
    await scene.clock.pass_by(20.0)
    assert len(scene.source.scans) > scans + 50
    assert page.sent == sent, "nothing is sent if nothing changes"


@pytest.mark.parametrize(
    ("seconds", "paced", "pause"), [(0.001, False, 0.25), (1, False, 20), (9, False, 60), (9, True, 9)]
)
async def test_a_scan_rests_the_longer_the_longer_it_takes(
    scenes: Callable[..., Scene], seconds: float, paced: bool, pause: float
) -> None:
    scene = scenes()
    scene.source.live_seconds, scene.source.is_paced = seconds, paced
    page = scene.page()
    await scene.clock.pass_by(3 * (seconds + pause) - 0.01)
    assert page.window is not None and (page.window.scanned is not None) is (pause > 5)
    starts = scene.source.starts("live")
    assert [round(one - start, 6) for start, one in pairwise(starts)] == [seconds + pause] * 2


async def test_what_a_page_shows_is_looked_at_between_scans(scenes: Callable[..., Scene]) -> None:
    scene = scenes()
    scene.source.live_rows = [row(f"sess_{number}") for number in range(9)]
    scene.source.live_seconds = 1.0
    page, other = scene.page(0, 2), scene.page(1, 2)
    await scene.clock.pass_by(1.5)
    scene.source.looked_at.clear()
    scene.source.now["sess_1"] = row("sess_1", route="/new")
    await scene.clock.pass_by(module.TICK)
    assert [sorted(one) for one in scene.source.looked_at] == [["sess_0", "sess_1", "sess_2"]]
    for one in (page, other):
        assert one.window is not None
        assert [found.route for found in one.window.rows if found.session_id == "sess_1"] == ["/new"]
    await other.close()
    scene.source.looked_at.clear()
    await scene.clock.pass_by(module.TICK)
    assert [sorted(one) for one in scene.source.looked_at] == [["sess_0", "sess_1"]]
    # a scan that has read the session before that does not bring its old row back
    await scene.clock.pass_by(25.0)
    assert len(scene.source.starts("live")) == 2
    assert page.window is not None and page.window.rows[1].route == "/new"


async def test_a_session_that_acts_gets_another_place_between_scans(scenes: Callable[..., Scene]) -> None:
    scene = scenes()
    scene.source.live_rows = [row(f"sess_{number}", last_activity=10 - number) for number in range(4)]
    scene.source.live_seconds = 2.0
    page = scene.page(0, 2, RowOrder("activity", descending=True))
    other = scene.page(2, 2, RowOrder("activity", descending=True))
    await scene.clock.pass_by(3.0)
    assert page.ids + other.ids == ["sess_0", "sess_1", "sess_2", "sess_3"]
    scene.source.now["sess_3"] = acted = row("sess_3", last_activity=50)
    await scene.clock.pass_by(1.0)
    assert page.ids + other.ids == ["sess_3", "sess_0", "sess_1", "sess_2"]
    await scene.clock.pass_by(41.0)
    assert len(scene.source.starts("live")) == 2
    assert page.ids == ["sess_0", "sess_1"], "the scan that began later has the last word"
    # a session that acts after the scan has read it, and before that ends
    scene.source.now.clear()
    scene.source.live_rows[3] = acted
    await scene.clock.pass_by(40.5)
    assert len(scene.source.starts("live")) == 3
    scene.source.now["sess_0"] = row("sess_0", last_activity=60)
    await scene.clock.pass_by(3.0)
    assert page.ids == ["sess_0", "sess_3"]


async def test_many_sessions_on_pages_are_looked_at_in_turns(
    scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fresh, "MOST_REFRESHED", 3)
    scene = scenes()
    scene.source.live_rows = [row(f"sess_{number}") for number in range(5)]
    scene.page()
    await scene.clock.pass_by(1.0)
    scene.source.looked_at.clear()
    await scene.clock.pass_by(2 * module.TICK)
    assert [len(one) for one in scene.source.looked_at] == [3, 3]
    assert len({name for one in scene.source.looked_at for name in one}) == 5


async def test_a_session_that_ends_stays_until_the_archive_was_scanned(scenes: Callable[..., Scene]) -> None:
    scene = scenes(archived=True)
    scene.source.live_rows = [row("sess_a"), row("sess_b"), row("sess_c")]
    scene.source.archived_seconds = 2.0
    page = scene.page()
    await scene.clock.pass_by(5.0)
    assert page.ids == ["sess_a", "sess_b", "sess_c"]
    del scene.source.live_rows[:2]
    scene.source.archived_rows = [row("sess_a", Place.ARCHIVED, state="ended", expires=None)]
    await scene.clock.pass_by(1.0)
    assert page.window is not None
    assert [(one.session_id, one.state) for one in page.window.rows] == [
        *(("sess_a", "gone"), ("sess_b", "gone"), ("sess_c", "live")),
    ]
    await scene.clock.pass_by(45.0)
    assert [(one.session_id, one.place) for one in page.window.rows] == [("sess_a", "archived"), ("sess_c", "live")]
    scene.source.live_rows.append(row("sess_a"))
    await scene.clock.pass_by(1.0)
    assert [(one.session_id, one.place) for one in page.window.rows] == [("sess_a", "live"), ("sess_c", "live")]


@pytest.mark.parametrize("many", [0, 20])
async def test_a_session_of_which_the_archive_has_a_copy_is_listed_once_when_it_is_gone(
    scenes: Callable[..., Scene], many: int
) -> None:
    scene = scenes(archived=True)
    scene.source.live_rows = [row("sess_a"), row("sess_b")]
    others = [row(f"sess_x{number}", Place.ARCHIVED) for number in range(many)]
    scene.source.archived_rows = [row("sess_a", Place.ARCHIVED, state="expired", expires=None), *others]
    scene.source.archived_seconds = 2.0
    page = scene.page(limit=2)
    await scene.clock.pass_by(5.0)
    assert page.ids == ["sess_a", "sess_b"]
    del scene.source.live_rows[0]
    await scene.clock.pass_by(1.0)
    assert page.window is not None and page.window.total == 2 + many
    assert [(one.session_id, one.state) for one in page.window.rows] == [("sess_a", "gone"), ("sess_b", "live")]
    await scene.clock.pass_by(45.0)
    assert page.window.total == 2 + many
    assert [(one.session_id, one.state) for one in page.window.rows] == [("sess_a", "expired"), ("sess_b", "live")]


async def test_an_unexpected_error_before_the_first_window_reaches_the_page(scenes: Callable[..., Scene]) -> None:
    scene = scenes()
    page = scene.page()
    scene.source.error = ValueError("a bug")
    await scene.clock.pass_by(1.0)
    assert isinstance(page.error, ValueError)


async def test_redis_is_away(scenes: Callable[..., Scene]) -> None:
    scene = scenes(archived=True)
    scene.source.live_rows = [row("sess_a")]
    page = scene.page()
    await scene.clock.pass_by(1.0)
    scene.source.live_seconds, scene.source.error = 100.0, Unreachable("no route to it")
    scene.source.scans.clear()
    await scene.clock.pass_by(10.0)
    assert page.window is not None and page.window.degraded is not None
    assert page.ids == ["sess_a"] and page.window.complete
    assert page.window.degraded.startswith("live sessions are as they were at 2")
    assert page.window.degraded.endswith("since Redis cannot be read: no route to it")
    assert len(scene.source.starts("live")) >= 9, "it is tried again each second"
    sent = page.sent
    scene.source.error = Unreachable("connection refused")
    await scene.clock.pass_by(10.0)
    assert page.sent == sent
    scene.source.live_rows, scene.source.live_seconds, scene.source.error = [row("sess_b")], 0.0, None
    await scene.clock.pass_by(2.0)
    assert (page.ids[-1], page.window.degraded) == ("sess_b", None)


async def test_what_else_is_wrong(scenes: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch) -> None:
    scene = scenes(archived=True)
    scene.source.error = AccessDenied("the user may not scan")
    scene.source.archived_rows = [row("sess_a", Place.ARCHIVED)]
    page = scene.page()
    await scene.clock.pass_by(2.0)
    assert page.window is not None
    assert (page.ids, page.window.complete, page.window.degraded) == (["sess_a"], True, None)
    assert page.window.problem == "live sessions are missing here, since Redis cannot be read: the user may not scan"
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    scene.source.error = None
    scene.source.live_rows = [row(f"sess_{number}") for number in range(6)]
    await scene.clock.pass_by(2.0)
    assert page.window.problem == "only the first 2 live sessions are listed: use a filter"
    scene.source.error = RuntimeError("a bug")
    await scene.clock.pass_by(2.0)
    assert isinstance(page.error, RuntimeError), "a page is not left with a list that is not read any more"


async def test_a_list_is_kept_for_a_while_after_its_last_page() -> None:
    clock = FakeClock()
    source = FakeSource(clock)
    kept = Listings(source, clock)  # type: ignore[arg-type]
    async with kept.use("a == 1", archived=True) as first:
        await clock.pass_by(1.0)
    await clock.pass_by(LINGER_SECONDS - 1)
    async with kept.use("a == 1", archived=True) as again:
        assert again is first
        await clock.pass_by(LINGER_SECONDS * 3)
    async with kept.use("a == 1", archived=True) as again:
        assert again is first, "the time begins anew"
    await clock.pass_by(LINGER_SECONDS + 1)
    scans = len(source.scans)
    await clock.pass_by(100.0)
    assert len(source.scans) == scans, "nobody shows it, nobody reads it"
    async with kept.use("a == 1", archived=True) as another:
        assert another is not first
    await kept.close()


async def test_too_many_lists() -> None:
    clock = FakeClock()
    kept = Listings(FakeSource(clock), clock)  # type: ignore[arg-type]

    @asynccontextmanager
    async def nested(names: list[str]) -> AsyncIterator[None]:
        if not names:
            yield
            return
        async with kept.use(names[0], archived=False), nested(names[1:]):
            yield

    async with nested([str(number) for number in range(8)]):
        with pytest.raises(Unreachable, match="8 lists with different filters are open already"):
            async with kept.use("another", archived=False):
                raise AssertionError("there is room for it")
        async with kept.use("3", archived=False):
            pass
    # they were left in the order 7, 6, …, 0
    async with kept.use("7", archived=False):
        pass
    async with kept.use("another", archived=False):
        assert [name for name, _ in kept._entries] == ["5", "4", "3", "2", "1", "0", "7", "another"]
    await kept.close()


async def test_a_driver_that_turns_a_cancellation_into_an_error() -> None:
    """A list ends all the same: otherwise, the inspector would not stop."""
    clock = FakeClock()
    source = FakeSource(clock)
    kept = Listings(source, clock)  # type: ignore[arg-type]

    async def live(where: str | None, seen: FingerprintSet) -> AsyncGenerator[tuple[int, list[Row]], None]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Unreachable("the connection was closed") from None
        yield 0, []

    source.live = live  # type: ignore[method-assign]
    async with kept.use(None, archived=False):
        await clock.pass_by(1.0)
    async with asyncio.timeout(30):
        await kept.close()


async def test_a_list_that_has_failed_is_begun_anew() -> None:
    clock = FakeClock()
    source = FakeSource(clock)
    kept = Listings(source, clock)  # type: ignore[arg-type]
    source.error = RuntimeError("a bug")
    async with kept.use(None, archived=False) as failed:
        page = Page(failed.windows(WindowQuery(BY_ID, 0, 10)))
        await clock.pass_by(1.0)
        assert isinstance(page.error, RuntimeError)
        await page.close()
    source.error, source.live_rows = None, [row("sess_a")]
    async with kept.use(None, archived=False) as again:
        assert again is not failed
        page = Page(again.windows(WindowQuery(BY_ID, 0, 10)))
        await clock.pass_by(LINGER_SECONDS + 1)
        assert page.ids == ["sess_a"] and page.error is None
        await page.close()
    await kept.close()


def naive(rows: list[Row], order: RowOrder) -> list[str]:
    """The ids in an order, by the rule of the documentation."""

    def value(one: Row) -> Any:
        if order.sort == "agent":
            return one.agent_name or one.agent_id or None
        if order.sort == "id":
            return one.session_id
        if order.sort == "state":
            in_archive = one.place == "archived" and one.state in ("ended", "live")
            return "archived" if in_archive else one.state
        return getattr(one, SORTS[order.sort])

    by_id = sorted(rows, key=lambda one: one.session_id)
    known = [one for one in by_id if value(one) not in (None, "")]
    unknown = [one for one in by_id if value(one) in (None, "")]
    return [one.session_id for one in [*sorted(known, key=value, reverse=order.descending), *unknown]]


def some_row(rng: random.Random, place: Place) -> Row:
    def maybe(value: Any) -> Any:
        return value if rng.random() < 0.8 else None

    return Row(
        f"sess_{rng.randrange(10**6):06}",
        maybe(f"id-{rng.randrange(5)}"),
        maybe(rng.choice(["", "a", "b", "Ä", "a" * 300])),
        maybe(f"/{rng.randrange(4)}"),
        maybe(rng.choice([0, 1, 2, 2**63 - 1, 2**63, 2**64 - 1, -5])),
        maybe(rng.randrange(3)),
        maybe(rng.randrange(50)),
        maybe(rng.randrange(50)),
        maybe(rng.randrange(5)),
        rng.choice([*SessionState]).value,
        place.value,
    )


@pytest.mark.parametrize("live", [1, 40, 300])
async def test_orders_are_those_of_a_plain_sort(live: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few live sessions, they are inserted into the order of the others."""
    monkeypatch.setattr(slices, "SLICE", 32)
    monkeypatch.setattr(slices, "_MERGED", 64)
    rng = random.Random(live)
    for _ in range(3):
        rows = {one.session_id: one for one in (some_row(rng, Place.LIVE) for _ in range(live))}
        others = {one.session_id: one for one in (some_row(rng, Place.ARCHIVED) for _ in range(300))}
        for session_id in rng.sample(sorted(rows), min(len(rows), 20)):  # of these, the archive has a copy
            others[session_id] = msgspec.structs.replace(some_row(rng, Place.ARCHIVED), session_id=session_id)
        seen = FingerprintSet()
        seen.add_new([*rows, "sess_that_does_not_match"])
        archived = columns([*others.values()], Place.ARCHIVED)
        shown = [*rows.values(), *(one for one in others.values() if one.session_id not in rows)]
        # numbers that a column cannot hold are unknown
        shown = [
            msgspec.structs.replace(one, total_actions=None) if (one.total_actions or 0) >= 2**63 else one
            for one in shown
        ]
        for _ in range(2):  # the second time, the order of the archive is known
            table = Table(columns([*rows.values()]), Columns.none(), archived, seen, complete=True)
            for sort in SORTS:
                for order in (RowOrder(sort, descending=True), RowOrder(sort, descending=False)):
                    found = [table[number].session_id for number in await table.order(order)]
                    assert found == naive(shown, order), order


async def test_an_incomplete_list_is_sorted_without_ties() -> None:
    table = Table(
        columns([row("sess_b"), row("sess_a", bytes=50)]),
        Columns.none(),
        Columns.none(),
        FingerprintSet(),
        complete=False,
    )
    assert [*await table.order(RowOrder("bytes", descending=False))] == [1, 0]


def test_columns_keep_rows() -> None:
    rng = random.Random(1)
    rows = [some_row(rng, Place.LIVE) for _ in range(200)]
    rows = [msgspec.structs.replace(one, total_actions=min(one.total_actions or 0, 2**63 - 1)) for one in rows]
    rows.append(row("sess_error", error="why", route=None, bytes=None))
    kept = columns(rows)
    assert [kept[number] for number in range(len(kept))] == rows
    assert row("a", bytes=UNKNOWN).bytes == UNKNOWN
    assert row("a").is_like(row("a", expires=2_000_900)) and not row("a").is_like(row("a", expires=2_002_000))
    assert not row("a").is_like(row("a", expires=None)) and not row("a").is_like(row("a", route="/x"))


async def test_a_refusal_of_the_archive_is_not_an_outage(scenes: Callable[..., Scene]) -> None:
    scene = scenes(archived=True)
    scene.source.live_rows = [row("sess_a")]

    async def refused(where: str | None) -> AsyncGenerator[tuple[int, list[Row]], None]:
        raise Refused("the archive is of another version")
        yield 0, []

    scene.source.archived = refused  # type: ignore[method-assign]
    page = scene.page()
    await scene.clock.pass_by(2.0)
    assert page.window is not None
    assert (page.ids, page.window.complete) == (["sess_a"], True)
    assert page.window.problem is not None and "the archive is of another version" in page.window.problem

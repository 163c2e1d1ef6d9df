"""The data of the page `compare`: it says what `awictl session compare` says, some lines at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from support.documents import put
from support.proxy import Proxy
from support.runs import COMMON, FIRST, SECOND, did, put_two_runs, run
from support.ui_client import inspected
from support.valkey import ValkeyServer

from awictl import Settings, StateManager
from awictl.cli.session import compare_view
from awictl.document.byte_layout import encode
from awictl.document.redaction.rules import Redaction
from awictl.ui.api import compare
from awictl.ui.results import comparison

IDS = {"a": FIRST, "b": SECOND}


async def ok(client: httpx.AsyncClient, path: str = "/api/compare", **params: Any) -> Any:
    response = await client.get(path, params=IDS | params)
    assert response.status_code == 200, response.text
    return response.json()


def stored(valkey: ValkeyServer, name: str, actions: list[dict[str, Any]]) -> None:
    put(valkey, encode(run(name, actions)), name)


async def test_it_says_what_the_command_says(valkey: ValkeyServer, settings: Settings, manager: StateManager) -> None:
    put_two_runs(valkey)
    async with inspected(settings) as client:
        shown = await ok(client)
        every = await ok(client, all="1")
    found = await manager.time_travel.compare(FIRST, SECOND)
    row = found.row()
    for name in ("equal", "exact", "counts"):
        assert shown[name] == row[name] == every[name]
    # the lines of the table on a terminal, which has the number of the first action and of the last one
    printed = [compare_view._row(one) for one in compare_view.run_lines(found.rows)]
    relations = [f"{one['actions']} equal" if "actions" in one else one["relation"] for one in shown["lines"]]
    assert relations == [one["relation"] for one in printed]
    assert (shown["offset"], shown["total"], shown["previous"], shown["next"]) == (0, 6, None, None)
    assert shown["lines"][0]["last"] == [2, 2] and len(every["lines"]) == 8
    parted, outcome = shown["divergence"], shown["other_outcome"]
    assert (parted["line"], parted["first"]["ordinal"], parted["second"]["ordinal"]) == (3, 5, 5)
    assert (parted["first"]["input"], parted["second"]["input"]) == ('{"q":"awi"}', None)
    assert (outcome["line"], outcome["differs"]) == (1, ["success", "observation"])
    assert (outcome["first"]["failed"], outcome["second"]["failed"]) == (False, True)
    assert every["divergence"]["line"] == 5
    route = {"pointer": "/page_state/route", "first": "/a", "second": "/b"}
    assert shown["states_before"] == {"fields": [route], "total": 1, "unknown": [], "unknown_total": 0}
    assert shown["states_at_end"] == shown["states_before"]
    assert shown["first"] == shown["first"] | {"session_id": FIRST, "place": "live", "total": 7, "gaps": []}


async def test_an_action_in_full(valkey: ValkeyServer, settings: Settings) -> None:
    put_two_runs(valkey)
    async with inspected(settings) as client:
        opened = await ok(client, "/api/compare/step", first=3, second=3)
        alone = await ok(client, "/api/compare/step", second=6)
        missing = await client.get("/api/compare/step", params=IDS | {"first": "99"})
        assert missing.status_code == 404 and FIRST in missing.json()["detail"]
    assert [(one["name"], one["equal"]) for one in opened["parts"]] == [
        *(("input", True), ("success", False), ("delta", True), ("observation", False), ("timestamp", True)),
    ]
    assert opened["parts"][3] == {
        "name": "observation",
        "first": {"text": "2 posts", "json": False},
        "second": None,
        "equal": False,
    }
    assert opened["parts"][0]["first"] == {"text": "{}", "json": True}
    assert opened["changes"]["fields"] == [
        {"pointer": "/success", "first": "true", "second": "false"},
        {"pointer": "/observation", "first": "2 posts", "second": None},
    ]
    assert alone["changes"] is None
    assert alone["parts"][0]["second"] == {"text": '{"id":7}', "json": True} and alone["parts"][0]["first"] is None


async def test_a_session_and_itself(valkey: ValkeyServer, settings: Settings) -> None:
    put_two_runs(valkey)
    async with inspected(settings) as client:
        shown = await ok(client, b=FIRST)
    assert shown["equal"] is True and shown["divergence"] is None is shown["states_before"]
    assert [one["relation"] for one in shown["lines"]] == ["equal"] and shown["lines"][0]["actions"] == 7


async def test_long_runs_come_in_parts(
    valkey: ValkeyServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first part has the first divergence in it; each part says where the next difference is."""
    monkeypatch.setattr(comparison, "MAX_LINES", 10)
    monkeypatch.setattr(comparison, "LINES_BEFORE", 3)
    same = [did(f"{number}") for number in range(40)]
    failed = [one | {"success": number not in (5, 6, 30)} for number, one in enumerate(same)]
    stored(valkey, FIRST, [*same[:20], did("x"), *same[20:]])
    stored(valkey, SECOND, failed)
    async with inspected(settings) as client:
        shown = await ok(client, all="1")
        assert (shown["divergence"]["line"], shown["other_outcome"]["line"]) == (21, 6)
        assert (shown["offset"], len(shown["lines"]), shown["total"]) == (18, 10, 42)
        assert (shown["previous"]["line"], shown["next"]["line"]) == (6, 32)
        before = await ok(client, all="1", offset=6)
        assert [one["relation"] for one in before["lines"]][:3] == ["other outcome", "other outcome", "equal"]
        assert before["previous"] is None and before["next"]["line"] == 21 and before["next"]["first"]["ordinal"] == 21
        inside = await ok(client, all="1", offset=7)
        assert inside["previous"]["line"] == 6, "the block of the differences begins before"
        end = await ok(client, all="1", offset=41)
        assert (len(end["lines"]), end["previous"]["line"], end["next"]) == (1, 32, None)
        assert (await ok(client, all="1", offset=10**9))["lines"] == []
        for action, line in (({"first": 31}, 31), ({"second": 31}, 32)):
            found = await ok(client, all="1", **action)
            assert found["offset"] == line - 3
        assert (await ok(client, all="1", first=5))["offset"] == 0 == (await ok(client, all="1", first=99))["offset"]
        folded = await ok(client)
        assert (folded["total"], folded["offset"]) == (8, 0)


async def test_the_parts_of_a_comparison_are_of_one_time(
    valkey: ValkeyServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_two_runs(valkey)
    async with inspected(settings) as client:
        shown = await ok(client)
        put(valkey, valkey.raw.get(f"AWI:SESSION:{FIRST}").replace(FIRST.encode(), SECOND.encode()), SECOND)
        version = shown["version"]
        assert (await ok(client, version=version)) | {"now": shown["now"]} == shown
        assert (await ok(client, "/api/compare/step", second=6, version=version))["parts"]
        assert (await ok(client))["equal"] is True
        assert (await ok(client, b=FIRST, version=version))["equal"] is True, "another pair"
        assert (await ok(client, version=version))["equal"] is True, "no more than two are kept"
        monkeypatch.setattr(compare, "KEPT_SECONDS", 0)
        last = await ok(client)
        await asyncio.sleep(0.01)
        assert (await ok(client, version=last["version"]))["version"] != last["version"], "it is not kept for long"


async def test_large_values_are_cut(valkey: ValkeyServer, settings: Settings) -> None:
    big = "x" * 1_000_000
    many = {f"key {number}": number for number in range(500)}
    stored(valkey, FIRST, [did("search", input={"q": big}, delta={"page_state": {"big": big, "many": many}})])
    stored(valkey, SECOND, [did("search", input={"q": big + "y"}, delta={"page_state": {"big": 1}})])
    async with inspected(settings) as client:
        response = await client.get("/api/compare", params=IDS)
        opened = await client.get("/api/compare/step", params=IDS | {"first": "1", "second": "1"})
    assert len(response.content) < 50_000 and len(opened.content) < 300_000
    shown = response.json()
    assert shown["lines"][-1]["first"]["input"].endswith("… (1,000,008 characters)")
    assert (shown["states_at_end"]["total"], len(shown["states_at_end"]["fields"])) == (2, 2)
    assert opened.json()["parts"][0]["first"]["text"].endswith("… (1,000,008 characters)")


async def test_archived_sessions_and_gaps(valkey: ValkeyServer, archived: Settings, manager: StateManager) -> None:
    made = run(FIRST, COMMON)
    put(valkey, encode(made), FIRST)
    made["session_id"] = SECOND
    made["history"] |= {"actions": made["history"]["actions"][1:], "trimmed_actions": 1}
    put(valkey, encode(made), SECOND)
    async with StateManager.open(archived) as archiving:
        await archiving.end_session(FIRST)
    async with inspected(archived) as client:
        shown = await ok(client)
    assert (shown["first"]["place"], shown["second"]["place"]) == ("archived", "live")
    assert "read from the archive" in shown["first"]["notices"][0]
    assert shown["second"]["gaps"] == [{"from": 0, "to": 0, "count": 1}]
    assert [one["relation"] for one in shown["lines"]] == ["only first", "equal", "equal", "only first"]
    assert shown["states_before"] is None


async def test_redis_away_and_an_archived_copy(valkey: ValkeyServer, proxy: Proxy, archived: Settings) -> None:
    """What the archive has is compared, and marked as perhaps older."""
    put_two_runs(valkey)
    async with StateManager.open(archived) as archiving:
        sweeper = archiving.sweeper(10**9)
        await sweeper.sweep(await sweeper.candidates())
    settings = proxy.settings(archive_url=archived.archive_url, timeout=2)
    async with inspected(settings) as client:
        await proxy.cut_off()
        shown = await ok(client)
        assert (shown["first"]["degraded"], shown["first"]["place"], shown["total"]) == (True, "archived", 6)
        assert "may have a newer state" in shown["second"]["notices"][0]


SECRETS = Redaction(("email", "secret"), ())


async def test_what_is_redacted(valkey: ValkeyServer, settings: Settings) -> None:
    """One value has one placeholder in both sessions, so they are equal where they are; and nothing is cut before."""
    first, second = "jane@example.org", "john@example.org"
    for name, mail in ((FIRST, first), (SECOND, second)):
        actions = [did("login", input={"mail": first, "password": "hunter2 hunter3"})]
        actions += [did("send", input={"pad": "x" * 195, "to": mail}, delta={"page_state": {"to": mail}})]
        stored(valkey, name, actions)
    async with inspected(settings, redaction=SECRETS) as client:
        response = await client.get("/api/compare", params=IDS | {"all": "1"})
        opened = await client.get("/api/compare/step", params=IDS | {"first": "2", "second": "2"})
    for one in (response, opened):
        assert not any(text in one.text for text in ("jane", "john", "example.org", "hunter")), one.text
    shown = response.json()
    assert [one["relation"] for one in shown["lines"]] == ["equal", "equal", "different"]
    [field] = shown["states_at_end"]["fields"]
    assert {field["first"], field["second"]} == {"<email-1>", "<email-2>"}
    assert '"password":"<secret-1>"' in shown["lines"][1]["first"]["input"]


async def test_what_is_refused(valkey: ValkeyServer, settings: Settings) -> None:
    put_two_runs(valkey)
    valkey.raw.set("AWI:SESSION:sess_broken", b"{")
    async with inspected(settings) as client:
        for params, status, fragment in (
            ({"a": FIRST}, 400, "two sessions"),
            ({"a": FIRST, "b": "nothing"}, 400, "nothing"),
            (IDS | {"offset": "-1"}, 400, "offset"),
            (IDS | {"first": "1.x"}, 400, "an action"),
            ({"a": FIRST, "b": "sess_missing"}, 404, "sess_missing"),
            ({"a": "sess_broken", "b": FIRST}, 422, "sess_broken"),
        ):
            response = await client.get("/api/compare", params=params)
            assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
            assert fragment in response.json()["detail"]


async def test_redis_killed_and_back(valkey: ValkeyServer, proxy: Proxy) -> None:
    put_two_runs(valkey)
    async with inspected(proxy.settings(timeout=2)) as client:
        assert (await ok(client))["equal"] is False
        await proxy.cut_off()
        response = await client.get("/api/compare", params=IDS)
        assert response.status_code == 503, response.text
        proxy.refusing = False
        assert (await ok(client))["equal"] is False

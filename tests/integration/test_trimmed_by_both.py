"""A session is trimmed by awictl and cut by the app alternately: the archive has the actions in their order."""

from __future__ import annotations

import json

import pytest
from support.archives import stamp
from support.documents import SESSION_ID, stored
from support.express_app import ExpressApp
from support.mongo import MongoServer
from support.valkey import ValkeyServer

from awictl import StateManager

#: Numbers of updates by the app ("app") and by awictl ("own"), and sweeps of all sessions.
STORIES = [
    [("app", 130), ("app", 37), ("own", 10), ("own", 40), ("app", 101), ("app", 100), ("app", 130), ("own", 40)],
    [("app", 5), ("own", 43), ("sweep", 1), ("app", 132), ("sweep", 1), ("app", 132), ("own", 40)],
    [("own", 50), ("app", 131), ("own", 3), ("sweep", 1), ("own", 40), ("app", 30), ("own", 6)],
]


@pytest.mark.parametrize("story", STORIES)
async def test_every_action_has_its_place(
    valkey: ValkeyServer, mongo: MongoServer, story: list[tuple[str, int]]
) -> None:
    app = ExpressApp(valkey, mongo)
    app.create(SESSION_ID, stamp())
    made = 0
    seen = {0}
    async with StateManager.open(valkey.settings(mongodb_uri=mongo.uri, max_actions=25)) as manager:
        for who, count in [*story, ("sweep", 1)]:
            for _ in range(count):
                if who == "sweep":
                    sweeper = manager.sweeper(2_000_000)
                    await sweeper.sweep(await sweeper.candidates())
                    continue
                made += 1
                if who == "app":
                    app.update(SESSION_ID, stamp(made), input={"n": made})
                else:
                    base = json.loads(stored(valkey))["history"]["actions"]
                    seen |= {one["input"].get("n", 0) for one in base}  # what is trimmed is archived
                    entry = {"action": "list_posts", "input": {"n": made}}
                    await manager.update_state_with_delta(SESSION_ID, {}, entry)
            if who == "sweep":
                seen |= {one["input"].get("n", 0) for one in json.loads(stored(valkey))["history"]["actions"]}
        found = await manager.required_archive().load(SESSION_ID)
        assert found is not None
    numbers = [one["input"].get("n", 0) for one in found.document["history"]["actions"]]
    assert numbers == sorted(set(numbers))
    assert set(numbers) <= seen
    lacking = [one for gap in found.summary.gaps for one in range(gap.first, (gap.last or 0) + 1)]
    assert sorted([*numbers, *lacking]) == list(range(made + 1)), "the gaps are what nobody archived"

"""The page of a session says what `awictl session show --at` says, whatever writers have done to the session."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from support import lives
from support.browser import Pages
from support.documents import compact, put
from support.modules import Modules
from support.ui_client import inspected
from support.valkey import ValkeyServer

from awictl import StateManager
from awictl.document.json_codec import json_equal, loads

#: The states that the page computes of what the server sent, oldest first.
STATES = """
return argument.map((text) => {
  const replay = new Replay(parseJson(text));
  const kept = [...Array(replay.length).keys()].filter((index) => !replay.steps[index].overwritten);
  return stringify(kept.map((index) => {
    const {head, unknown, conflicts, step} = replay.stateAt(index);
    return [step.ordinal, head, [...unknown].sort(), [...conflicts].sort()];
  }));
});
"""


async def lived(seed: int, valkey: ValkeyServer, manager: StateManager) -> str:
    """The id of a session that was archived now and then, while it was written, trimmed, cut, overwritten and ended."""
    chance = random.Random(seed)
    life = lives.Life(chance, limit=chance.choice([5, 12, 1000]))
    session_id = str(life.document["session_id"])
    earlier = [life.raw]
    for _ in range(chance.randint(1, 5)):
        life.live(chance.randint(1, 12), app=chance.choice([0.0, 0.0, 0.5, 1.0]))
        if chance.random() < 0.2:  # a writer that does not compare writes what it read before
            life.raw = chance.choice(earlier)
            life.app_update()
        if chance.random() < 0.2:  # a writer cuts it
            document = life.document
            history = document["history"]
            kept = history["actions"][-chance.randint(1, 20) :]
            life.raw = compact({**document, "history": {**history, "actions": kept}})
        earlier.append(life.raw)
        put(valkey, life.raw, session_id)
        if chance.random() < 0.6:
            sweeper = manager.sweeper(10**9)
            await sweeper.sweep(await sweeper.candidates())
    if chance.random() < 0.3:
        await manager.end_session(session_id)
    return session_id


@pytest.mark.parametrize("count", [12, pytest.param(300, marks=pytest.mark.soak)])
async def test_the_states_of_real_sessions(
    count: int, open_page: Pages, valkey: ValkeyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = valkey.settings(archive_url=f"sqlite:///{tmp_path / 'archive.db'}")
    modules = await Modules.opened(open_page)
    payloads, expected = [], []
    async with StateManager.open(settings) as manager, inspected(settings) as client:
        for seed in range(count):
            monkeypatch.setattr(lives, "SESSION_ID", f"sess_life{seed}")
            session_id = await lived(seed, valkey, manager)
            payloads.append((await client.get(f"/api/sessions/{session_id}")).text)
            whole = await manager.time_travel.whole(session_id)
            expected.append([_row(one) for one in whole.timeline.states()])
    found = await modules.run(
        {"document/json.js": "parseJson, stringify", "document/replay.js": "Replay"}, STATES, payloads
    )
    kinds: Counter[str] = Counter()
    for seed, (payload, text, states) in enumerate(zip(map(json.loads, payloads), found, expected, strict=True)):
        for one, truth in zip(loads(text.encode()), states, strict=True):
            assert json_equal(one, truth), (seed, one, truth)
        kinds[payload["place"]] += 1
        kinds["gaps"] += bool(payload["gaps"] or payload["breaks"])
        kinds["overwritten"] += any("overwritten" in one for one in payload["steps"])
        kinds["earlier"] += len(payload["steps"]) > len(payload["keyframes"]) > 1
    assert min(kinds[one] for one in ("live", "archived", "gaps", "overwritten", "earlier")) > 0, kinds


def _row(state: Any) -> list[Any]:
    return [state.ordinal, state.head, sorted(state.unknown), sorted(state.conflicts)]

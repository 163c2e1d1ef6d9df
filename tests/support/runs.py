"""Sessions for tests that compare two of them."""

from __future__ import annotations

from typing import Any

from awictl.document.byte_layout import encode
from awictl.document.merge import merge

from .archives import stamp
from .documents import compact, document, put
from .valkey import ValkeyServer

FIRST, SECOND = "sess_first", "sess_second"


def run(session_id: str, actions: list[dict[str, Any]]) -> dict[str, Any]:
    """A session after these actions, each with a name, and any of input, delta, success and observation."""
    made = document([0], session_id)
    made["history"]["actions"][0] |= {"input": {}, "delta": {}}
    for t, action in enumerate(actions, 1):
        record = {"t": t, "input": {}, "delta": {}, "timestamp": stamp(t), "success": True, **action}
        made = merge(made, record["delta"])
        made["history"]["actions"].append(record)
        made["history"]["last_action"] = record
        made["statistics"] |= {"total_actions": t, "successful_actions": t}
    return made


def did(name: str, **fields: Any) -> dict[str, Any]:
    return {"action": name, **fields}


COMMON = [did("list_posts"), did("filter", input={"tag": "news"}, delta={"page_state": {"filters": {"tag": "news"}}})]


def put_two_runs(valkey: ValkeyServer) -> None:
    """Store two runs that part at action 5, after their states have parted at action 4."""
    first = [*COMMON, did("open", observation="2 posts"), did("next", delta={"page_state": {"route": "/a"}})]
    second = [*COMMON, did("open", success=False), did("next", delta={"page_state": {"route": "/b"}})]
    first += [did("search", input={"q": "awi"}), did("end")]
    second += [did("sort"), did("get_post", input={"id": 7}), did("end")]
    put(valkey, encode(run(FIRST, first)), FIRST)
    put(valkey, compact(run(SECOND, second)), SECOND)

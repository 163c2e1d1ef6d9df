"""`session show --at` on a session of 5,000 actions, against `session show`.

Each command runs as a new process, in alternation with the other one: on a live session, on an ended one in an SQLite
archive, and on one whose beginning is missing, for moments near its beginning, in its middle and near its end. The
medians of the pairs' ratios are compared, in elapsed and in processor time. Exits with 1 if a target is missed.

    uv run python benchmarks/moment_cost.py [ROUNDS]          # 15 rounds, about a minute and a half
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from start_time import duration

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.documents import put
from support.valkey import ValkeyServer

from awictl.document.byte_layout import encode
from awictl.document.fold import fold_head
from awictl.document.schema import new_document
from awictl.document.timestamps import timestamp

ROUNDS = 15
ACTIONS = 5_000
#: Actions that are missing in the session whose beginning is missing.
MISSING = 100
MAX_RATIO = 2.0
MOMENTS = (150, ACTIONS // 2, ACTIONS - 10)
START = datetime(2026, 11, 23, 7, tzinfo=UTC)


def records() -> Iterator[dict[str, Any]]:
    """Actions that turn pages, and sort them."""
    for number in range(1, ACTIONS + MISSING):
        delta: dict[str, Any] = {"page_state": {"sort": {"key": "likes" if number % 4 else "createdAt"}}}
        if number % 2:
            items = [{"id": f"post_{number}_{one}", "title": f"Post {one}", "likes": number * one} for one in range(5)]
            delta = {"page_state": {"pagination": {"cursor": number}, "visible_items": items}}
        yield {
            "action": "paginate" if number % 2 else "sort",
            "input": {"cursor": number},
            "delta": delta,
            "timestamp": timestamp(START + timedelta(seconds=number)),
            "success": number % 10 != 0,
            "observation": f"Retrieved 5 posts (page {number})",
            "op_id": f"op_{number:032x}",
        }


def session(session_id: str, first: int, count: int) -> dict[str, Any]:
    """A session with `count` actions, before which `first` ones are missing."""
    document = new_document(session_id, "agent", "Agent", "/posts", timestamp(START))
    head, actions = fold_head(document, [*records()][: first + count - 1], 1)
    kept = [*document["history"]["actions"], *actions][first:]
    trimmed = {"trimmed_actions": first} if first else {}
    return {**head, "history": {"last_action": kept[-1], **trimmed, "actions": kept}}


def main(rounds: int) -> int:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "REDIS_", "AWI_"))}
    missed = False
    with tempfile.TemporaryDirectory() as folder, ValkeyServer() as valkey:
        env = clean | {"REDIS_URL": f"redis://127.0.0.1:{valkey.port}", "XDG_CONFIG_HOME": folder}
        archive = env | {"AWI_ARCHIVE_URL": f"sqlite:///{folder}/archive.db"}
        for session_id, missing in (("sess_live", 0), ("sess_ended", 0), ("sess_cut", MISSING)):
            put(valkey, encode(session(session_id, missing, ACTIONS)), session_id)
        duration(["-m", "awictl", "session", "end", "sess_ended"], archive)
        print(f"\nmedian of {rounds} rounds, in seconds of processor time, and ratio of the pairs\n")
        print(f"{'':28}{'show':>8}{'--at':>8}{'elapsed':>9}{'processor':>11}{'target':>9}")
        for name, session_id, variables in (
            ("live", "sess_live", env),
            ("ended", "sess_ended", archive),
            ("beginning is missing", "sess_cut", env),
        ):
            show = ["-m", "awictl", "-q", "session", "show", session_id]
            for moment in MOMENTS:
                at = [*show, "--at", str(moment)]
                pairs = [(duration(at, variables), duration(show, variables)) for _ in range(rounds + 1)][1:]
                elapsed = statistics.median(one.elapsed / base.elapsed for one, base in pairs)
                processor = statistics.median(one.processor / base.processor for one, base in pairs)
                columns = [statistics.median(pair[which].processor for pair in pairs) for which in (1, 0)]
                print(
                    f"{f'{name}, {moment:,}':28}"
                    + "".join(f"{column:8.3f}" for column in columns)
                    + f"{elapsed:9.2f}{processor:11.2f}{f'<= {MAX_RATIO:.2f}':>9}"
                )
                missed |= max(elapsed, processor) > MAX_RATIO
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))

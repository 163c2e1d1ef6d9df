"""Scans of tables that grow and shrink meanwhile, and of very large ones, are not taken for endless ones."""

from __future__ import annotations

import pytest
from support.documents import document
from support.mongo_live import needs_redis
from support.valkey import ValkeyServer

from awictl.document.byte_layout import decode_counted_head, encode
from awictl.errors import InvalidData
from awictl.store.redis import keyspace, scan_keys
from awictl.store.redis.scan_progress import ScanProgress
from awictl.store.redis.server import connect


def fill(server: ValkeyServer, prefix: str, count: int) -> None:
    server.raw.mset({f"{prefix}{number}": b"x" for number in range(count)})


async def test_a_table_that_is_resized(valkey: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    needs_redis(valkey, "its SCAN")
    monkeypatch.setattr(scan_keys, "SCAN_COUNT", 50)
    fill(valkey, "stays:", 3_000)
    server = connect(valkey.settings())
    found: set[bytes] = set()
    try:
        async for names in keyspace.scan(server, None):
            before = len(found) // 500
            found.update(name for name in names if name.startswith(b"stays:"))
            if len(found) // 500 > before:
                if before % 2:
                    valkey.raw.delete(*(f"new:{number}" for number in range(30_000)))
                else:
                    fill(valkey, "new:", 30_000)
    finally:
        await server.close()
    assert len(found) == 3_000


def test_many_keys_and_a_large_empty_table() -> None:
    many = ScanProgress("there", count=2_000)
    asked = 0
    for step in range(1, 50_001):  # 100 million keys
        if many.step(b"%d" % step, 2_000):
            many.set_size(100_000_000)
            asked += 1
    assert asked == 1, "the number of keys is asked for once"
    empty = ScanProgress("there", count=2_000)
    assert not any(empty.step(b"%d" % step, 0) for step in range(1, 10_000))


def test_more_steps_or_names_than_there_are_keys() -> None:
    for names, most in ((0, 12_000), (2_000, 100)):
        progress = ScanProgress("there", count=2_000)
        with pytest.raises(InvalidData, match="there does not behave"):
            for step in range(1, most):
                if progress.step(b"%d" % step, names):
                    progress.set_size(1_000)


async def test_the_padding_of_a_head_is_not_fetched(valkey: ValkeyServer) -> None:
    needs_redis(valkey, "its scripts")
    server = connect(valkey.settings())
    raws = {
        "long": encode(document([1, 2, 3])),
        "empty": encode(document([])),
        "two": b'{"actions":[ 1],"x":"actions":[   \n{"t":0}]}}',
        "line": b'{"a":"b   \n{"t":0}]}}',
    }
    valkey.raw.mset(raws)
    try:
        for scripts in (True, False):
            server.scripts_forbidden = not scripts
            infos = await keyspace.key_info(server, list(raws), 4_096, 32)
            starts = {name: info.start for name, info in zip(raws, infos, strict=True) if info is not None}
            assert {name: decode_counted_head(start, len(raws[name])) for name, start in starts.items()} == {
                name: decode_counted_head(raw, len(raw)) for name, raw in raws.items()
            }
            if scripts:
                head, _, after = raws["long"].partition(b"\n")
                assert starts["long"] == head.rstrip() + b"\n" + after[:32] and len(head) > len(head.rstrip()) + 500
                assert all(starts[name] == raws[name] for name in ("empty", "two", "line"))
    finally:
        await server.close()

"""Closing a manager closes all that it opened, even if something cannot be closed."""

from __future__ import annotations

import pytest
from support.valkey import ValkeyServer

from awictl import StateManager


async def test_everything_is_closed_even_if_closing_fails(valkey: ValkeyServer, tmp_path: object) -> None:
    closed: list[str] = []

    def closing(name: str) -> object:
        async def close() -> None:
            closed.append(name)
            raise OSError(f"{name} cannot be closed")

        return close

    other = f"redis://127.0.0.1:{valkey.port}"
    settings = valkey.settings(
        archive_url=f"sqlite:///{tmp_path}/archive.db", cache_redis_url=f"{other}/1", media_redis_url=f"{other}/2"
    )
    with pytest.raises(OSError, match="store cannot be closed") as raised:
        async with StateManager.open(settings) as manager:
            parts = {"store": manager.store, "archive": manager.required_archive()}
            parts |= {"cache": manager.cache._strings, "media": manager.media._reader._strings}
            close = manager.store.close
            for name, part in parts.items():
                part.close = closing(name)
    assert sorted(closed) == ["archive", "cache", "media", "store"]
    assert len(raised.value.__notes__) == 3
    await close()


async def test_the_error_in_the_block_is_raised_not_that_of_closing(valkey: ValkeyServer) -> None:
    async def fail() -> None:
        raise OSError("cannot be closed")

    with pytest.raises(KeyError, match="inside"):
        async with StateManager.open(valkey.settings()) as manager:
            close = manager.store.close
            manager.store.close = fail  # type: ignore[method-assign]
            raise KeyError("inside")
    await close()

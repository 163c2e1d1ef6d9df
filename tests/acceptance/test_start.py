"""What a command imports: its start takes most of its time."""

from __future__ import annotations

import pytest
from support.cli import Cli
from support.documents import SESSION_ID, compact, document, put
from support.valkey import ValkeyServer

#: What no command needs that reads from one Redis server and prints JSON, by the reason why it was imported once.
UNUSED = {
    *("typer", "rich", "click"),  # to parse the command line, and for tables
    *("redis", "pymongo", "bson", "sqlite3", "msgspec"),  # for other clients, archives and listings
    *("platformdirs", "tempfile", "shutil", "secrets", "hashlib", "random"),  # for one path, and for new ids
    *("awictl.archive", "awictl.document.update", "awictl.store.embedded"),  # for commands that do other things
    *("awictl.store.redis.cluster", "awictl.store.redis.sentinel", "awictl.store.redis.split"),  # for deployments
}


@pytest.mark.parametrize("words", [["show", SESSION_ID], ["show", SESSION_ID, "-o", "raw"]], ids=" ".join)
def test_showing_a_session_imports_only_what_it_needs(awictl: Cli, valkey: ValkeyServer, words: list[str]) -> None:
    put(valkey, compact(document([0])))
    result = awictl.python("-X", "importtime", "-m", "awictl", "session", *words)
    assert result.code == 0 and SESSION_ID in result.text
    imported = {line.rpartition("|")[2].strip() for line in result.err.splitlines()}
    assert "awictl.store.redis.connection" in imported
    assert imported & UNUSED == set()

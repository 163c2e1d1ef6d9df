"""AWI_USE_REDIS=false: which store the settings choose, and the identity of a MongoDB store that archives record."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from material import Load, profile

from awictl import Settings
from awictl.errors import InvalidInput
from awictl.store.identity import identity_of_mongodb

URI = "mongodb://me:secret@h/awi"
OFF = {"AWI_USE_REDIS": "false", "MONGODB_URI": URI}


@pytest.mark.parametrize(
    ("layers", "use_redis"),
    [
        ({"environ": OFF}, False),
        ({"environ": {**OFF, "REDIS_HOST": "r", "REDIS_PORT": "7"}}, False),  # as in the app's .env
        ({"environ": OFF, "options": {"redis_url": "redis://r"}}, True),
        ({"environ": OFF, "options": {"embedded": True}}, True),
        ({"environ": {"REDIS_URL": "redis://r"}, **profile("use_redis = false", f'mongodb_uri = "{URI}"')}, True),
        ({"environ": OFF, **profile('redis_url = "redis://r"', "embedded = true")}, False),
        ({"environ": {"MONGODB_URI": URI}, **profile("awi_use_redis = false")}, False),
    ],
    ids=["environment", "with a host", "option", "embedded", "nearer", "farther", "profile"],
)
def test_the_nearest_source_says_where_live_sessions_are(
    load_settings: Load, layers: dict[str, Any], use_redis: bool
) -> None:
    settings = load_settings(**layers)
    assert settings.use_redis is use_redis
    assert use_redis or not settings.embedded
    assert (settings.keyspace_id[0] == "mongodb://h:27017/awi") is not use_redis


def test_embedded_and_mongodb_in_one_source_is_an_error(load_settings: Load) -> None:
    with pytest.raises(InvalidInput, match=r"AWI_EMBEDDED and AWI_USE_REDIS=false \(environment\)"):
        load_settings(environ={**OFF, "AWI_EMBEDDED": "1"})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"mongodb_uri": URI}, URI),
        ({"mongodb_uri": URI, "archive_url": "mongodb://other/db"}, URI),
        ({"archive_url": "mongodb+srv://h/db"}, "mongodb+srv://h/db"),
        ({"archive_url": "sqlite:///file"}, None),
        ({}, None),
    ],
)
def test_the_database_of_live_sessions(given: dict[str, str], expected: str | None) -> None:
    assert Settings(use_redis=False, **given).live_mongodb == expected  # type: ignore[arg-type]


def test_a_separate_server_for_caches_is_redis() -> None:
    assert Settings(use_redis=False, mongodb_uri=URI).for_server("redis://cache").use_redis


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("mongodb://b:1,A/awi", "mongodb://u:p@a:27017,b:1/awi?replicaSet=r", True),
        ("mongodb://h", "mongodb://h/test", True),
        ("mongodb://h/one", "mongodb://h/two", False),
        ("mongodb://h/awi", "mongodb+srv://h/awi", False),
        ("mongodb://localhost/awi", "mongodb://127.0.0.1:27017/awi", True),
    ],
)
def test_the_identity_of_a_database(one: str, other: str, same: bool) -> None:
    assert (identity_of_mongodb(one, "awi_live") == identity_of_mongodb(other, "awi_live")) is same


def test_the_identity_has_no_secret_and_tells_local_hosts_and_collections_apart() -> None:
    assert identity_of_mongodb(URI, "awi_live") == "mongodb://h:27017/awi#awi_live"
    local = identity_of_mongodb("mongodb://localhost/awi", "awi_journal")
    assert local == f"mongodb://{socket.gethostname()}/localhost:27017/awi#awi_journal"

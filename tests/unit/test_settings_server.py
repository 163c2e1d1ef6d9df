"""The Redis server in the settings: URLs, sockets and hosts; and masking of secrets."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from material import Load, profile

from awictl import Settings
from awictl.errors import InvalidInput
from awictl.util.urls import parse_redis_url

SECRET = "hunter2/?#@:x"
ESCAPED = "hunter2%2F%3F%23%40%3Ax"

# -- URLs and sockets

URLS = [
    ("redis://h", {"redis_host": "h", "redis_tls": False}),
    ("redis://h:7000/2", {"redis_host": "h", "redis_port": 7000, "redis_db": 2}),
    ("rediss://h", {"redis_host": "h", "redis_tls": True}),
    ("redis://[::1]:6380/1", {"redis_host": "::1", "redis_port": 6380, "redis_db": 1}),
    ("redis://h/?db=4", {"redis_db": 4}),
    ("redis://h/1?db=4", {"redis_db": 4}),
    ("redis://user@h", {"redis_username": "user", "redis_password": None}),
    (f"redis://:{ESCAPED}@h", {"redis_username": None, "redis_password": SECRET, "redis_host": "h"}),
    (f"rediss://us%40er:{ESCAPED}@h:1", {"redis_username": "us@er", "redis_password": SECRET, "redis_port": 1}),
    ("unix:///run/my%20redis.sock?db=3", {"redis_socket": "/run/my redis.sock", "redis_db": 3}),
    ("unix://user:pw@/run/r.sock", {"redis_socket": "/run/r.sock", "redis_username": "user", "redis_password": "pw"}),
]
ADDRESSES = [
    ("redis://u:p@h", "redis://h:6379/0"),
    ("rediss://u:p@h:7000/2", "rediss://h:7000/2"),
    ("redis://[::1]:6380", "redis://[::1]:6380/0"),
    ("unix://u:p@/run/r.sock?db=3", "unix:///run/r.sock"),
]
BAD_URLS = [
    "",
    "h",
    "h:6379",
    "/run/r.sock",
    "http://h",
    "redis://",
    "redis://:6379",
    "redis:///1",
    "redis://h:port",
    "redis://h:0",
    "redis://h:65536",
    "redis://h:-1",
    "redis://h/x",
    "redis://h/-1",
    "redis://h/1/2",
    "redis://h/1.5",
    "redis://[::1",
    "redis://h?timeout=5",
    "unix://",
    "unix://tmp/r.sock",
]


@pytest.mark.parametrize(("url", "expected"), URLS)
def test_the_settings_in_a_url(load_settings: Load, url: str, expected: dict[str, Any]) -> None:
    for settings in (load_settings(environ={"REDIS_URL": url}), load_settings(**profile(f'redis_url = "{url}"'))):
        assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize(("url", "address"), ADDRESSES)
def test_the_address_contains_no_secrets(load_settings: Load, url: str, address: str) -> None:
    assert load_settings(environ={"REDIS_URL": url}).redis_address == address


@pytest.mark.parametrize("url", BAD_URLS)
def test_invalid_urls(load_settings: Load, url: str) -> None:
    with pytest.raises(InvalidInput):
        load_settings({"redis_url": url})


def test_a_url_sets_everything_but_credentials() -> None:
    assert parse_redis_url("redis://h", "x") == {
        "redis_host": "h",
        "redis_port": 6379,
        "redis_db": 0,
        "redis_tls": False,
        "redis_socket": None,
        "redis_sentinels": None,
        "redis_cluster": False,
    }


@pytest.mark.parametrize("nearer", [{"redis_url": "redis://a"}, {"redis_host": "a"}, {"redis_socket": "/a"}])
def test_a_farther_url_of_another_server_is_ignored_completely(load_settings: Load, nearer: dict[str, str]) -> None:
    settings = load_settings(nearer, environ={"REDIS_URL": "rediss://u:hunter2@b:7000/3"})
    assert (settings.redis_port, settings.redis_db, settings.redis_tls) == (6379, 0, False)
    assert (settings.redis_username, settings.redis_password) == (None, None)


def test_credentials_from_variables_complete_a_nearer_url(load_settings: Load) -> None:
    settings = load_settings({"redis_url": "redis://u@a"}, environ={"REDIS_PASSWORD": "hunter2"})
    assert (settings.redis_username, settings.redis_password) == ("u", "hunter2")


def test_a_url_takes_precedence_over_the_other_names_of_its_source(load_settings: Load) -> None:
    settings = load_settings(
        environ={"REDIS_URL": "redis://h:1", "REDIS_HOST": "x", "REDIS_PORT": "2", "REDIS_SOCKET": "/s"}
    )
    assert (settings.redis_host, settings.redis_port, settings.redis_socket) == ("h", 1, None)


SOCKET = {"REDIS_SOCKET": "/s"}


@pytest.mark.parametrize(
    "nearer",
    [
        {"options": {"redis_host": "h"}, "environ": SOCKET},
        {"options": {"redis_url": "redis://h"}, "environ": SOCKET},
        {"options": {"redis_url": "redis://h"}, "environ": {"REDIS_URL": "unix:///s"}},
        {"environ": {"REDIS_HOST": "h"}, "dotenv": "REDIS_SOCKET=/s"},
        {"dotenv": "REDIS_HOST=h", **profile('redis_socket = "/s"')},
        {"environ": {"REDIS_URL": "redis://h"}, **profile('redis_url = "unix:///s"')},
    ],
    ids=str,
)
def test_a_host_in_a_nearer_source_takes_precedence_over_a_socket(load_settings: Load, nearer: dict[str, Any]) -> None:
    settings = load_settings(**nearer)
    assert (settings.redis_socket, settings.redis_host) == (None, "h")


@pytest.mark.parametrize(
    "nearer",
    [
        {"options": {"redis_socket": "/s"}, "environ": {"REDIS_HOST": "h"}},
        {"options": {"redis_url": "unix:///s"}, "environ": {"REDIS_URL": "redis://h"}},
        {"environ": {**SOCKET, "REDIS_HOST": "h"}},
        {"environ": SOCKET, **profile('redis_url = "redis://h"')},
    ],
    ids=str,
)
def test_a_socket_takes_precedence_over_a_host_of_the_same_or_a_farther_source(
    load_settings: Load, nearer: dict[str, Any]
) -> None:
    assert load_settings(**nearer).redis_address == "unix:///s"


# -- secrets


def test_secrets_are_masked_in_all_output(load_settings: Load) -> None:
    settings = load_settings(environ={"REDIS_URL": f"redis://user:{ESCAPED}@h"})
    assert settings.redis_password == SECRET
    shown = [repr(settings), str(settings), repr(settings.rows()), settings.redis_address]
    assert not any("hunter2" in text for text in shown)
    assert ("REDIS_PASSWORD", "********", "environment") in settings.rows()


def test_an_unset_password_is_not_masked(load_settings: Load) -> None:
    assert ("REDIS_PASSWORD", None, "default") in load_settings().rows()


@pytest.mark.parametrize("url", [f"redis://:{ESCAPED}@h", "redis://user:hunter2@h", "unix://u:hunter2@/s"])
def test_a_password_on_the_command_line_is_rejected_and_not_repeated(load_settings: Load, url: str) -> None:
    with pytest.raises(InvalidInput, match="REDIS_PASSWORD") as caught:
        load_settings({"redis_url": url})
    assert "hunter2" not in str(caught.value)


def test_a_user_name_is_allowed_on_the_command_line(load_settings: Load) -> None:
    settings = load_settings({"redis_url": "redis://user@h"}, environ={"REDIS_PASSWORD": "hunter2"})
    assert (settings.redis_username, settings.redis_password) == ("user", "hunter2")


@pytest.mark.parametrize(
    "password", ["hunter2/x", "hunter2?x", "hunter2#x", "1/hunter2", "1?hunter2", "1#hunter2", "hunter2℀", "[hunter2"]
)
@pytest.mark.parametrize("user", ["", "user"])
def test_the_error_about_a_malformed_url_does_not_contain_the_password(
    load_settings: Load, user: str, password: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(environ={"REDIS_URL": f"redis://{user}:{password}@h:6379/0"})
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("line", ['redis_password = ["hunter2"]', 'redis_password = {x = "hunter2"}'])
def test_the_error_about_a_password_of_the_wrong_type_does_not_contain_it(load_settings: Load, line: str) -> None:
    with pytest.raises(InvalidInput, match="REDIS_PASSWORD") as caught:
        load_settings(**profile(line))
    assert "hunter2" not in str(caught.value)


def test_another_server_is_not_the_embedded_one() -> None:
    """Only the connections to the embedded server require that the same user runs it."""
    settings = Settings(embedded=True, redis_socket="/own/valkey.sock")
    other = settings.for_server("unix:///shared/cache.sock")
    assert (other.redis_socket, other.embedded) == ("/shared/cache.sock", False)

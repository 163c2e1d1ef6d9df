"""Settings of Sentinel and Cluster: URLs, precedence, conflicts, and the identity that archives record."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from material import Load, profile

from awictl import Settings
from awictl.cli.config.template import config_template
from awictl.errors import InvalidInput
from awictl.store.identity import identity_of
from awictl.util.addresses import parse_addresses
from awictl.util.urls import without_credentials

SENTINELS = "a:26379,b:26380"
SENTINEL_URL = "redis+sentinel://a,b:26380/main/2"
CLUSTER_URL = "redis+cluster://a:7000,b"
#: By URL: the fields that it sets.
URLS: dict[str, dict[str, Any]] = {
    SENTINEL_URL: {
        "topology": "sentinel",
        "redis_sentinels": SENTINELS,
        "sentinel_addresses": (("a", 26379), ("b", 26380)),
        "redis_sentinel_master": "main",
        "redis_db": 2,
        "redis_tls": False,
        "redis_address": "redis+sentinel://a:26379,b:26380/main/2",
    },
    "rediss+sentinel://u:hunter2@[::1]:1/m?db=1": {
        "sentinel_addresses": (("::1", 1),),
        "redis_username": "u",
        "redis_password": "hunter2",
        "redis_tls": True,
        "redis_db": 1,
        "redis_sentinel_password": None,
        "redis_address": "rediss+sentinel://[::1]:1/m/1",
    },
    "redis+sentinel://a?sentinel_username=s&sentinel_password=hunter2%40": {
        "redis_sentinel_master": "mymaster",
        "redis_sentinel_username": "s",
        "redis_sentinel_password": "hunter2@",
        "redis_password": None,
        "redis_db": 0,
    },
    CLUSTER_URL: {
        "topology": "cluster",
        "cluster_seeds": (("a", 7000), ("b", 6379)),
        "sentinel_addresses": (),
        "redis_tls": False,
        "redis_address": "redis+cluster://a:7000,b:6379",
    },
    "rediss+cluster://u:hunter2@a:7000/0": {
        "redis_host": "a",
        "redis_port": 7000,
        "cluster_seeds": (("a", 7000),),
        "redis_tls": True,
        "redis_username": "u",
        "redis_password": "hunter2",
        "redis_address": "rediss+cluster://a:7000",
    },
    "redis+cluster://::1,[::2]:7000": {"cluster_seeds": (("::1", 6379), ("::2", 7000))},
    "redis://a": {"topology": "standalone", "redis_sentinels": None, "redis_cluster": False},
}
BAD_URLS = [
    "redis+sentinel://",
    "redis+sentinel://a:0/m",
    "redis+sentinel://a,,b/m",
    "redis+sentinel://a/3",
    "redis+sentinel://a/m/x",
    "redis+sentinel://a/m/1/2",
    "redis+sentinel:///m",
    "redis+cluster://",
    "redis+cluster://a/1",
    "redis+cluster://a?db=1",
    "redis+cluster://a:port",
    "redis+cluster://a?sentinel_password=x",
    "redis://a,b",
    "redis://a:1,b:2",
    "unix+cluster:///s",
    "redis+other://a",
]


@pytest.mark.parametrize("url", URLS)
def test_the_settings_in_the_url_of_a_deployment(load_settings: Load, url: str) -> None:
    for settings in (
        load_settings(environ={"REDIS_URL": url}),
        load_settings(**profile(f'redis_url = "{url}"')),
        Settings(redis_password="other", redis_sentinel_password="other", redis_cluster=True).for_server(url),
    ):
        assert {name: getattr(settings, name) for name in URLS[url]} == URLS[url]
        assert "hunter2" not in f"{settings!r} {settings.redis_address} {settings.rows()}"


@pytest.mark.parametrize("url", BAD_URLS)
def test_invalid_urls_of_deployments(load_settings: Load, url: str) -> None:
    for give in ({"REDIS_URL": url}, {"AWI_CACHE_REDIS_URL": url}):
        with pytest.raises(InvalidInput, match=r"URL|REDIS_DB"):
            load_settings(environ=give)


def test_the_error_about_several_hosts_names_the_forms_that_take_them(load_settings: Load) -> None:
    for url in ("redis://u:hunter2@a,b", "redis://u:hunter2@a:1,b:2"):
        with pytest.raises(InvalidInput, match=r"redis\+cluster:// (or|and) redis\+sentinel://") as caught:
            load_settings(environ={"REDIS_URL": url})
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a,", "a:b", "a:70000", "a b", "[::1", "u@a", "a/b", "a:1:2:x"])
def test_lists_of_addresses_that_are_rejected(load_settings: Load, text: str) -> None:
    with pytest.raises(ValueError, match="is not a list of HOST:PORT"):
        parse_addresses(text, 1)
    if text:
        with pytest.raises(InvalidInput, match=r"REDIS_SENTINELS \(environment\).*is not a list of HOST:PORT"):
            load_settings(environ={"REDIS_SENTINELS": text})


def test_sentinels_as_variables_and_as_a_list_in_a_profile(load_settings: Load) -> None:
    environ = {"REDIS_SENTINELS": " a , b:26380,a", "REDIS_SENTINEL_MASTER": "main", "REDIS_HOST": "ignored"}
    settings = load_settings(environ=environ | {"REDIS_SENTINEL_USERNAME": "s", "REDIS_SENTINEL_PASSWORD": "hunter2"})
    assert (settings.topology, settings.redis_sentinels, settings.redis_sentinel_master) == (
        "sentinel",
        SENTINELS,
        "main",
    )
    assert (settings.redis_sentinel_username, settings.redis_sentinel_password) == ("s", "hunter2")
    assert ("REDIS_SENTINEL_PASSWORD", "********", "environment") in settings.rows()
    assert load_settings(**profile('redis_sentinels = ["a", "b:26380"]')).redis_sentinels == SENTINELS


def test_seeds_of_a_cluster_as_variables(load_settings: Load) -> None:
    several = {"REDIS_CLUSTER": "true", "REDIS_HOST": "a,b:7001", "REDIS_PORT": "7000"}
    assert load_settings(environ=several).cluster_seeds == (("a", 7000), ("b", 7001))
    url = load_settings(environ={"REDIS_CLUSTER": "1", "REDIS_URL": "redis://:pw@a:7000"})
    assert (url.topology, url.cluster_seeds, url.redis_password) == ("cluster", (("a", 7000),), "pw")
    assert load_settings(environ={"REDIS_CLUSTER": "yes"}).cluster_seeds == (("localhost", 6379),)
    assert load_settings(environ={"REDIS_CLUSTER": "0", "REDIS_URL": CLUSTER_URL}).topology == "cluster"


#: Sources with the address that counts.
PRECEDENCE: list[tuple[dict[str, Any], str]] = [
    # a nearer source replaces what a farther one says
    ({"options": {"redis_url": "redis://h"}, "environ": {"REDIS_SENTINELS": "a"}}, "redis://h:6379/0"),
    ({"options": {"redis_url": "redis://h"}, "environ": {"REDIS_CLUSTER": "true"}}, "redis://h:6379/0"),
    ({"options": {"redis_url": "unix:///s"}, "environ": {"REDIS_URL": CLUSTER_URL}}, "unix:///s"),
    ({"options": {"redis_url": CLUSTER_URL}, "environ": {"REDIS_SENTINELS": "a"}}, "redis+cluster://a:7000,b:6379"),
    ({"options": {"redis_url": SENTINEL_URL}, "environ": {"REDIS_SOCKET": "/s", "REDIS_CLUSTER": "1"}}, "sentinel"),
    ({"environ": {"REDIS_HOST": "h"}, "dotenv": "REDIS_SENTINELS=a"}, "redis://h:6379/0"),
    ({"environ": {"REDIS_SENTINELS": "a:1,b:2"}, "dotenv": "REDIS_URL=rediss://h:3/4"}, "sentinel"),
    ({"environ": {"REDIS_CLUSTER": "1"}, **profile('redis_sentinels = "a"')}, "redis+cluster://localhost:6379"),
    ({"environ": {"REDIS_SOCKET": "/s"}, **profile("redis_cluster = true")}, "unix:///s"),
    ({"environ": {"REDIS_SENTINELS": "a"}, **profile("redis_cluster = true")}, "sentinel"),
    # host and cluster complete each other, whichever is nearer
    ({"environ": {"REDIS_HOST": "h"}, **profile("redis_cluster = true")}, "redis+cluster://h:6379"),
    ({"environ": {"REDIS_CLUSTER": "1"}, **profile('redis_url = "redis://h:7"')}, "redis+cluster://h:7"),
    # of one source, the more special setting counts
    ({"environ": {"REDIS_HOST": "h", "REDIS_SENTINELS": "a"}}, "sentinel"),
    ({"environ": {"REDIS_URL": "redis://h", "REDIS_SENTINELS": "a"}}, "sentinel"),
    ({"environ": {"REDIS_URL": "redis+sentinel://z/m", "REDIS_SENTINELS": "a"}}, "redis+sentinel://z:26379/m/0"),
]


@pytest.mark.parametrize(("sources", "address"), PRECEDENCE, ids=str)
def test_the_nearest_deployment_counts(load_settings: Load, sources: dict[str, Any], address: str) -> None:
    settings = load_settings(**sources)
    assert address in (settings.redis_address, settings.topology)


CONFLICTS = [
    ({"REDIS_CLUSTER": "true", "REDIS_SENTINELS": "a"}, "REDIS_SENTINELS and REDIS_CLUSTER name different"),
    ({"REDIS_SOCKET": "/s", "REDIS_SENTINELS": "a"}, "REDIS_SENTINELS and REDIS_SOCKET name different"),
    ({"REDIS_SOCKET": "/s", "REDIS_CLUSTER": "1"}, "REDIS_CLUSTER and REDIS_SOCKET name different"),
    ({"REDIS_URL": "unix:///s", "REDIS_CLUSTER": "1"}, "REDIS_CLUSTER and REDIS_SOCKET name different"),
    ({"REDIS_URL": SENTINEL_URL, "REDIS_CLUSTER": "1"}, "REDIS_SENTINELS and REDIS_CLUSTER name different"),
    ({"REDIS_CLUSTER": "true", "REDIS_DB": "3"}, r"REDIS_DB \(environment\) is 3, but a cluster has only database 0"),
    ({"REDIS_CLUSTER": "true", "REDIS_HOST": "a,b:x"}, r"REDIS_HOST \(environment\).*is not a list of HOST:PORT"),
    ({"REDIS_HOST": "a,b"}, r"REDIS_HOST \(environment\) names several servers: set REDIS_CLUSTER=true"),
    ({"REDIS_TLS_KEY": "/k"}, r"set REDIS_TLS_CERT too"),
]


@pytest.mark.parametrize(("environ", "message"), CONFLICTS, ids=str)
def test_settings_that_contradict_each_other(load_settings: Load, environ: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load_settings(environ=environ)


@pytest.mark.parametrize("other", [{"REDIS_CLUSTER": "1"}, {"REDIS_SENTINELS": "a"}], ids=str)
def test_the_embedded_server_is_neither_of_sentinels_nor_a_cluster(load_settings: Load, other: dict[str, str]) -> None:
    settings = load_settings({"embedded": True}, environ=other)
    assert (settings.embedded, settings.redis_cluster, settings.redis_sentinels) == (True, False, None)
    assert settings.topology == "standalone"
    assert load_settings(environ=other, **profile("embedded = true")).embedded is False
    with pytest.raises(InvalidInput, match="--embedded and --redis"):
        load_settings({"embedded": True, "redis_url": CLUSTER_URL})


@pytest.mark.parametrize("url", ["redis+sentinel://a?sentinel_password=hunter2", "redis+cluster://u:hunter2@a"])
def test_a_password_of_a_deployment_on_the_command_line_is_rejected(load_settings: Load, url: str) -> None:
    with pytest.raises(InvalidInput, match="a password on the command line") as caught:
        load_settings({"redis_url": url})
    assert "hunter2" not in str(caught.value)


def test_urls_of_other_deployments_are_shown_without_secrets(load_settings: Load) -> None:
    url = "redis+sentinel://u:hunter2@a:1,b:2/main/3?sentinel_password=hunter2"
    assert without_credentials(url) == "redis+sentinel://a:1,b:2/main/3"
    settings = load_settings(environ={"AWI_CACHE_REDIS_URL": url})
    assert ("AWI_CACHE_REDIS_URL", "redis+sentinel://********@a:1,b:2/main/3", "environment") in settings.rows()


def test_another_server_takes_credentials_from_its_url_only_but_shares_the_files_of_tls() -> None:
    own = {"redis_username": "u", "redis_password": "p", "redis_sentinel_username": "s", "redis_sentinel_password": "q"}
    files = {"redis_tls_ca_certs": "/ca", "redis_tls_cert": "/cert", "redis_tls_key": "/key"}
    settings = Settings(redis_sentinels="a", **own, **files)  # type: ignore[arg-type]
    for url in ("redis://h", SENTINEL_URL, CLUSTER_URL, "unix:///s"):
        other = settings.for_server(url)
        assert {getattr(other, name) for name in own} == {None}
        assert {name: getattr(other, name) for name in files} == files


# -- identity


def identity(**settings: Any) -> str:
    return identity_of(Settings(**settings))


def test_the_identity_of_a_deployment_depends_on_neither_order_nor_primary() -> None:
    sentinel = identity(redis_sentinels="a:1,b:2", redis_host="primary1", redis_port=1)
    assert sentinel == "redis+sentinel://a:1,b:2/mymaster/0"
    assert sentinel == identity(redis_sentinels="B:2,a:1", redis_host="primary2", redis_password="x", redis_tls=True)
    assert identity(redis_sentinels="a,b:2") == "redis+sentinel://a:26379,b:2/mymaster/0"
    cluster = identity(redis_cluster=True, redis_host="b:2,a:1")
    assert cluster == identity(redis_cluster=True, redis_host="A:1,b:2", redis_port=9) == "redis+cluster://a:1,b:2/0"


def test_deployments_that_are_not_the_same() -> None:
    found = [
        identity(redis_sentinels="a:1"),
        identity(redis_sentinels="a:1", redis_sentinel_master="other"),
        identity(redis_sentinels="a:1", redis_db=1),
        identity(redis_sentinels="a:2"),
        identity(redis_host="a", redis_port=1),
        identity(redis_host="a", redis_port=1, redis_cluster=True),
    ]
    assert len(set(found)) == len(found)


def test_the_identity_of_local_sentinels_names_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    assert identity(redis_sentinels="127.0.0.1:1,a:2") == "redis+sentinel://here/a:2,localhost:1/mymaster/0"
    assert identity(redis_cluster=True, redis_host="::1") == "redis+cluster://here/localhost:6379/0"


def test_the_template_of_the_config_file_has_the_new_settings() -> None:
    lines = [line.removeprefix("# ") for line in config_template().splitlines() if " = " in line]
    found = tomllib.loads(
        "\n".join(line for line in lines if line.startswith(("redis_sentinel", "redis_tls_", "redis_cl")))
    )
    assert found["redis_cluster"] is False
    assert found["redis_sentinel_master"] == "mymaster"
    assert {"redis_sentinels", "redis_sentinel_password", "redis_tls_cert", "redis_tls_key"} <= found.keys()

"""Choose between settings that name different servers or archives: the nearest source wins."""

from __future__ import annotations

from typing import Any

from ..errors import InvalidInput
from .addresses import parse_addresses
from .urls import OTHER_SERVERS

#: The ways to name the Redis deployment that exclude each other: field name → name in messages.
_EXCLUSIVE = {"redis_sentinels": "REDIS_SENTINELS", "redis_cluster": "REDIS_CLUSTER", "redis_socket": "REDIS_SOCKET"}


def resolve_conflicts(values: dict[str, Any], sources: dict[str, str], order: list[str]) -> None:
    """Choose between host, socket, Sentinel, cluster and embedded server, and between the archives.

    `order` lists the sources from the nearest to the farthest. Changes `values`. Raises InvalidInput if one source
    names two deployments, or if what it names cannot be.
    """

    def distance(name: str) -> int:
        return order.index(sources[name]) if values.get(name) else len(order)

    server = min(distance(name) for name in ("redis_host", *_EXCLUSIVE))
    _choose_store(values, sources, order, server, distance("embedded"))
    # a server holds all kinds of keys, unless the same or a nearer layer names other servers for some of them
    for name in OTHER_SERVERS:
        if min(server, distance("embedded")) < distance(name):
            values[name] = None
    if values.get("embedded"):
        if distance("embedded") == server == order.index("option"):
            raise InvalidInput("--embedded and --redis name two different servers; give only one of them")
        values["embedded"] = distance("embedded") <= server
    if values.get("embedded"):
        values |= {"redis_sentinels": None, "redis_cluster": False}
    _choose_deployment(values, {name: distance(name) for name in ("redis_host", *_EXCLUSIVE)})
    if not values.get("embedded"):
        _check_deployment(values, sources)
    # the embedded server has an archive of its own, unless a nearer layer names another
    embedded = distance("embedded")
    if values.get("embedded") and embedded <= distance("mongodb_uri") != order.index("option"):
        values["mongodb_uri"] = None
    if distance("mongodb_uri") < distance("archive_url") or embedded < distance("archive_url"):
        values["archive_url"] = None


def _choose_store(
    values: dict[str, Any], sources: dict[str, str], order: list[str], server: int, embedded: int
) -> None:
    """Keep live sessions in MongoDB (AWI_USE_REDIS=false) unless a nearer source names a Redis server."""
    if values.get("use_redis") is not False:
        return
    here = order.index(sources["use_redis"])
    if embedded == here:
        raise InvalidInput(
            f"AWI_EMBEDDED and AWI_USE_REDIS=false ({sources['use_redis']}) name two stores; remove one of them"
        )
    if min(server, embedded) < here:
        values["use_redis"] = True
    else:
        values["embedded"] = False


def _choose_deployment(values: dict[str, Any], distances: dict[str, int]) -> None:
    """Keep the nearest of Sentinel, cluster and socket. A nearer host replaces all but a cluster, whose seed it is."""
    for name in _EXCLUSIVE:
        if any(
            distances[other] < distances[name]
            for other in distances
            if not (other == "redis_host" and name == "redis_cluster")
        ):
            values[name] = False if name == "redis_cluster" else None
    given = [label for name, label in _EXCLUSIVE.items() if values.get(name)]
    if len(given) > 1:
        raise InvalidInput(f"{' and '.join(given)} name different deployments of Redis; give only one of them")


def _check_deployment(values: dict[str, Any], sources: dict[str, str]) -> None:
    """Raise InvalidInput if the host, database or certificates do not fit the kind of deployment."""
    host = values.get("redis_host")
    source = sources.get("redis_host", "")
    if values.get("redis_cluster"):
        if database := values.get("redis_db"):
            raise InvalidInput(
                f"REDIS_DB ({sources['redis_db']}) is {database}, but a cluster has only database 0; remove it"
            )
        if host is not None:
            try:
                parse_addresses(host, values.get("redis_port", 6379))
            except ValueError as error:
                raise InvalidInput(f"REDIS_HOST ({source}): {host!r} {error}") from None
    elif host is not None and "," in host and not values.get("redis_socket") and not values.get("redis_sentinels"):
        raise InvalidInput(
            f"REDIS_HOST ({source}) names several servers: set REDIS_CLUSTER=true if they are nodes of a cluster, or "
            "REDIS_SENTINELS instead of REDIS_HOST if they are sentinels"
        )
    if values.get("redis_tls_key") and not values.get("redis_tls_cert"):
        raise InvalidInput(
            f"REDIS_TLS_KEY ({sources['redis_tls_key']}) is the key of a client certificate; set REDIS_TLS_CERT too"
        )

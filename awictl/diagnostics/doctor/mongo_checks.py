"""Checks of MongoDB as the store of live sessions (AWI_USE_REDIS=false)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from ...errors import AccessDenied, AwiError, Refused
from ...sessions.migration.from_app import AppSessions
from ...util.humanize import plural
from ...util.urls import canonical_mongodb, user_info
from .report import Check, failed, not_permitted, passed, warned
from .server_checks import SLOW_MS, clock_check

if TYPE_CHECKING:
    from ...settings import Settings
    from ...store.mongo.sessions import MongoStore


async def check_mongodb(store: MongoStore, settings: Settings) -> list[Check]:
    """Run all checks. If the server is unreachable, return only the failed check `reachable`."""
    try:
        answer = await store.ping()
        hello = await _command(store, "hello")
    except AwiError as error:
        remedy = "start MongoDB, or correct MONGODB_URI (`awictl config show`)"
        if isinstance(error, AccessDenied):
            remedy = "correct the user and the password in MONGODB_URI"
        return [failed("reachable", str(error), remedy)]
    url = settings.live_mongodb or ""
    return [
        _reachable(store.where, answer["latency_ms"]),
        passed("version", f"mongodb {answer['version']}"),
        _authentication(url, store.where),
        _encryption(url),
        await _clock(store),
        _replication(hello),
        await _journal(store, hello),
        await _indexes(store),
        await _app_sessions(store, settings),
    ]


async def _command(store: MongoStore, name: str) -> dict[str, Any]:
    """The reply to a command without arguments."""
    with store.database.request():
        return await store.database.connection.command(name)


def _reachable(where: str, latency_ms: float) -> Check:
    evidence = f"live sessions are in MongoDB: {where} answers in {latency_ms:.1f} ms"
    if latency_ms > SLOW_MS:
        return warned("reachable", evidence, "check the network and the server's other load")
    return passed("reachable", evidence)


def _hosts(url: str) -> list[str]:
    return canonical_mongodb(url).partition("://")[2].partition("/")[0].split(",")


def _is_local(url: str) -> bool:
    return all(one.startswith("localhost:") for one in _hosts(url))


def _authentication(url: str, where: str) -> Check:
    if user_info(url):
        return passed("authentication", "with a user name")
    if _is_local(url):
        return passed("authentication", "without a user name; the address is local to this machine")
    return warned(
        "authentication",
        f"MONGODB_URI has no user name: probably anyone who can reach {where} can read and delete every session",
        "enable access control on the server, and put a user and a password into MONGODB_URI",
    )


def _encryption(url: str) -> Check:
    parameters = {name.lower(): values[-1].lower() for name, values in parse_qs(url.partition("?")[2]).items()}
    tls = parameters.get("tls", parameters.get("ssl", "true" if url.startswith("mongodb+srv:") else "false"))
    if tls == "true":
        return passed("tls", "encrypted")
    if _is_local(url):
        return passed("tls", "not encrypted, but the connection does not leave this machine")
    return warned(
        "tls",
        f"the connection to {' and '.join(_hosts(url))} is not encrypted: sessions are sent in clear text",
        "add tls=true to MONGODB_URI if the server supports TLS; on a private network this may be acceptable",
    )


async def _clock(store: MongoStore) -> Check:
    try:
        ahead = await store.database.clock.offset_ms()
    except AwiError as error:
        return not_permitted("clock", f"hello ({error})")
    return clock_check(ahead, "activity times depend on them (expiries are by the server's clock)")


def _replication(hello: dict[str, Any]) -> Check:
    if hello.get("msg") == "isdbgrid":
        return passed("replication", "a sharded cluster")
    name, members = hello.get("setName"), hello.get("hosts")
    if name is None or not isinstance(members, list) or len(members) < 2:
        return warned(
            "replication",
            "one server without replicas: its loss is the loss of its sessions",
            "make it a replica set; updates are acknowledged by a majority of it",
        )
    evidence = f"replica set {name} with {plural(len(members), 'member')}; updates are acknowledged by a majority"
    if not hello.get("isWritablePrimary", hello.get("ismaster")):
        return failed("replication", f"{evidence}, but it has no primary", "read the logs of its members")
    if len(members) < 3:
        return warned("replication", evidence, "use three members: the failure of one stops all writes otherwise")
    return passed("replication", evidence)


async def _journal(store: MongoStore, hello: dict[str, Any]) -> Check:
    if hello.get("msg") == "isdbgrid":  # a router; the shards have the data
        return passed("persistence", "every update is acknowledged after it is in the journal")
    try:
        status = await _command(store, "serverStatus")
    except Refused:
        return not_permitted("persistence", "serverStatus")
    except AwiError as error:
        return failed("persistence", str(error), "check the server")
    engine = status.get("storageEngine") or {}
    if isinstance(engine, dict) and engine.get("persistent") is False:
        return failed(
            "persistence",
            f"the storage engine {engine.get('name')} keeps nothing on disk: a restart loses every live session",
            "use the storage engine wiredTiger",
        )
    return passed("persistence", "every update is acknowledged after it is in the journal")


async def _app_sessions(store: MongoStore, settings: Settings) -> Check:
    """The app's own live sessions, from before it used Redis: they are not among those that awictl keeps."""
    try:
        count = len(await AppSessions(store, settings.session_ttl_ms).active())
    except AwiError as error:
        return not_permitted("sessions of the app", f"find in agentsessions ({error})")
    if not count:
        return passed("sessions of the app", "no active session of the app itself in agentsessions")
    evidence = (
        f"{plural(count, 'active session')} of the app itself in agentsessions, which awictl reads and never changes; "
        "`awictl migrate --from-app` copies what is there"
    )
    return passed("sessions of the app", evidence)


async def _indexes(store: MongoStore) -> Check:
    try:
        missing = await store.database.missing_indexes()
    except AwiError as error:
        return not_permitted("live indexes", f"listIndexes ({error})")
    if not missing:
        return passed("live indexes", "all indexes exist")
    remedy = "no action needed: the first write of each process creates them; if they stay away, allow createIndex"
    return warned("live indexes", f"missing indexes: {'; '.join(missing)}", remedy)

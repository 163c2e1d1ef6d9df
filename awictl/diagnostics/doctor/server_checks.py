"""Checks of what a server reports about itself. A managed server may deny any of these commands."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import AccessDenied, AwiError
from ...settings import Settings
from ...store.redis.server_info import NotAvailable, ServerInfo
from ...util.humanize import duration
from .replication_checks import check_replication, check_wait
from .report import Check, failed, not_permitted, passed, warned

#: The oldest supported versions (DESIGN, promise 11).
OLDEST = {"redis": (6, 2), "valkey": (7, 2)}
#: Latency in milliseconds above which the server is reported as slow.
SLOW_MS = 20.0
#: Difference between the clocks, in milliseconds, from which on the check warns, and fails.
CLOCK_SKEW_WARN_MS = 1_000.0
CLOCK_SKEW_FAIL_MS = 60_000.0
#: Share of the memory limit from which on the check warns, and fails.
_MEMORY_WARN, _MEMORY_FAIL = 0.8, 0.95
_LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

Info = Mapping[str, str]


async def check_server(server_info: ServerInfo, settings: Settings, *, sessions: bool = True) -> list[Check]:
    """Run all checks of one server. If it is unreachable, return only the failed check `reachable`.

    `sessions`: whether the server stores sessions; if not, eviction and persistence are not checked.
    """
    try:
        latency = await server_info.latency_ms()
    except AwiError as error:
        return [_unreachable(error, settings)]
    checks = [_reachable(latency, settings)]
    try:
        info: Info = await server_info.info()
    except NotAvailable:
        info = {}
    checks.append(await _authentication(server_info, settings))
    checks.append(_encryption(settings))
    checks.append(await _clock(server_info))
    if not info:
        return [
            *checks,
            *(not_permitted(name, "INFO") for name in ("version", "persistence", "eviction", "memory", "replication")),
        ]
    checks.append(_version(info))
    if sessions:
        checks.append(await _persistence(server_info, info))
        checks.append(_eviction(info))
    checks.append(_memory(info))
    checks.append(await check_replication(server_info, info, settings))
    wait = check_wait(info, settings)
    return [*checks, wait] if wait is not None else checks


def _unreachable(error: AwiError, settings: Settings) -> Check:
    if isinstance(error, AccessDenied):
        return failed(
            "reachable", str(error), "set REDIS_USERNAME and REDIS_PASSWORD, set REDIS_URL, or choose another profile"
        )
    if settings.topology != "standalone":
        others = "sentinels, primary and quorum" if settings.topology == "sentinel" else "cluster, slots and nodes"
        remedy = f"see the checks {others}; correct the address if it is wrong (`awictl config show`)"
        return failed("reachable", str(error), remedy)
    port = settings.redis_port
    remedy = (
        f"check that the server is running (`redis-cli -p {port} ping`) and start it if it is not (`systemctl start "
        "redis`, `docker start …`); if it does not start, read its log; if it runs elsewhere, correct the address "
        "(`awictl config show`); or use `--embedded`"
    )
    return failed("reachable", str(error), remedy)


def _reachable(latency_ms: float, settings: Settings) -> Check:
    evidence = f"{settings.redis_address} answers in {latency_ms:.1f} ms"
    if latency_ms > SLOW_MS:
        return warned("reachable", evidence, "check the network, the server's SLOWLOG, and its other load")
    return passed("reachable", evidence)


def _version(info: Info) -> Check:
    name = info.get("server_name", "redis")
    version = info.get("valkey_version") if name == "valkey" else info.get("redis_version")
    numbers = tuple(map(int, re.findall(r"\d+", version or "")[:2]))
    oldest = OLDEST.get(name, OLDEST["redis"])
    if numbers and numbers < oldest:
        needed = ".".join(map(str, oldest))
        return failed("version", f"{name} {version}", f"upgrade the server: awictl needs {name} {needed} or later")
    return passed("version", f"{name} {version or '(unknown version)'}")


async def _authentication(server_info: ServerInfo, settings: Settings) -> Check:
    try:
        user = f"as user {await server_info.user()}"
    except NotAvailable:
        user = "as a user whose name is not available"
    if settings.redis_password or settings.redis_username:
        return passed("authentication", f"with a password, {user}")
    if _is_local(settings):
        return passed("authentication", f"without a password, {user}; the address is local to this machine")
    return warned(
        "authentication",
        f"no password is required: anyone who can reach {settings.redis_address} can read and delete every session",
        "set `requirepass` or define ACL users on the server, and set REDIS_PASSWORD here",
    )


def _encryption(settings: Settings) -> Check:
    if settings.redis_tls:
        shown = ", and a client certificate is shown" if settings.redis_tls_cert else ""
        return passed("tls", f"encrypted; the server's certificate is verified{shown}")
    if _is_local(settings):
        return passed("tls", "not encrypted, but the connection does not leave this machine")
    return warned(
        "tls",
        f"the connection to {_hosts(settings)} is not encrypted: passwords and sessions are sent in clear text",
        "use rediss:// (REDIS_TLS=true) if the server supports TLS; on a private network this may be acceptable",
    )


def _is_local(settings: Settings) -> bool:
    return bool(settings.redis_socket) or set(_hosts(settings).split(" and ")) <= _LOCAL_HOSTS


def _hosts(settings: Settings) -> str:
    """The hosts in the settings."""
    if settings.topology == "standalone":
        return settings.redis_host
    addresses = settings.sentinel_addresses if settings.topology == "sentinel" else settings.cluster_seeds
    return " and ".join(dict.fromkeys(host for host, _ in addresses))


async def _clock(server_info: ServerInfo) -> Check:
    try:
        ahead = await server_info.clock_offset_ms()
    except NotAvailable as command:
        return not_permitted("clock", str(command))
    return clock_check(ahead, "activity times and rate limits depend on them (TTLs do not)")


def clock_check(ahead_ms: float, depends: str) -> Check:
    """The check of a server's clock, which is `ahead_ms` milliseconds ahead. `depends`: what depends on the clocks."""
    way = "ahead of" if ahead_ms > 0 else "behind"
    evidence = f"the server's clock is {duration(abs(ahead_ms))} {way} this machine's"
    if abs(ahead_ms) < CLOCK_SKEW_WARN_MS:
        return passed("clock", evidence)
    remedy = f"synchronize both clocks with NTP; {depends}"
    return (failed if abs(ahead_ms) >= CLOCK_SKEW_FAIL_MS else warned)("clock", evidence, remedy)


async def _persistence(server_info: ServerInfo, info: Info) -> Check:
    aof = info.get("aof_enabled") == "1"
    faults = [
        fault
        for name, fault in (
            ("rdb_last_bgsave_status", "the last snapshot (RDB) failed"),
            ("aof_last_write_status", "the last write to the append-only file (AOF) failed"),
            ("aof_last_bgrewrite_status", "the last rewrite of the append-only file (AOF) failed"),
        )
        if info.get(name) == "err" and (aof or name.startswith("rdb"))
    ]
    if faults:
        remedy = "read the server's log; the usual cause is a disk that is full or not writable"
        return failed("persistence", "; ".join(faults), remedy)
    changes = f"{_number(info, 'rdb_changes_since_last_save'):,} changes since the last snapshot"
    if aof:
        return passed("persistence", f"AOF is enabled, {changes}")
    try:
        save = await server_info.config("save")
    except NotAvailable as command:
        remedy = "AOF is disabled; check in your provider's console whether RDB is enabled"
        return not_permitted("persistence", str(command), remedy)
    if save.strip():
        remedy = "enable AOF (`appendonly yes`) if the sessions of the last minutes must survive a crash"
        return warned("persistence", f"RDB only (save {save}), {changes}", remedy)
    remedy = "enable AOF (`appendonly yes`), unless losing sessions is acceptable"
    return warned("persistence", "neither RDB nor AOF is enabled: a restart loses every live session", remedy)


def _number(info: Info, name: str) -> int:
    """A number in INFO; 0 if it is missing, or not a number that a server could report."""
    text = info.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def _eviction(info: Info) -> Check:
    policy, limit = info.get("maxmemory_policy", ""), _number(info, "maxmemory")
    evicted = _number(info, "evicted_keys")
    evidence = f"maxmemory-policy {policy or 'unknown'}, maxmemory {limit:,}" + ("" if limit else " (no limit)")
    remedy = (
        "set `maxmemory-policy noeviction` on the server that stores sessions, and move caches and media to another "
        "server (AWI_CACHE_REDIS_URL, AWI_MEDIA_REDIS_URL)"
    )
    if evicted:
        evidence += f": {evicted:,} keys were evicted since the server started, possibly sessions"
        return failed("eviction", evidence, remedy)
    if policy and policy != "noeviction":
        if limit:
            return failed("eviction", f"{evidence}: the server may evict sessions", remedy)
        return warned("eviction", f"{evidence}: the server would evict sessions if a limit were set", remedy)
    if not policy:
        return not_permitted("eviction", "maxmemory_policy in INFO")
    return passed("eviction", f"{evidence}, no key was evicted")


def _memory(info: Info) -> Check:
    used, limit = _number(info, "used_memory"), _number(info, "maxmemory")
    of = "maxmemory"
    if not limit:
        limit, of = _number(info, "total_system_memory"), "the machine's memory"
    if not used or not limit:
        return not_permitted("memory", "used_memory in INFO")
    share = used / limit
    evidence = f"{used:,} bytes in use, {share:.0%} of {of}"
    remedy = "find the largest keys (`awictl keys stats`), and add memory before the server refuses writes"
    if share >= _MEMORY_FAIL:
        return failed("memory", evidence, remedy)
    return warned("memory", evidence, remedy) if share >= _MEMORY_WARN else passed("memory", evidence)

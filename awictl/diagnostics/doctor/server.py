"""Checks of what a server tells of itself. All of it is optional: a managed one may forbid to ask."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ...errors import AccessDenied, AwiError
from ...settings import Settings
from ...store.redis.server_info import Inspection, NotTold
from ...util.humanize import duration
from .report import Check, failed, not_permitted, passed, warned

#: The oldest versions that are supported (DESIGN, promise 9).
OLDEST = {"redis": (6, 2), "valkey": (7, 2)}
#: Milliseconds that an answer may take, and that clocks may be apart, before it is worth a warning; and a fail.
SLOW_MS = 20.0
SKEW_MS = 1_000.0
WRONG_CLOCK_MS = 60_000.0
#: Shares of the memory limit from which on it is worth a warning, and a fail.
_FULL, _OVERFULL = 0.8, 0.95
_LAG_SECONDS = 10
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})

Info = Mapping[str, str]


async def check_server(inspection: Inspection, settings: Settings, *, sessions: bool = True) -> list[Check]:
    """All checks of one server; only that it cannot be reached, where that is so.

    `sessions`: whether sessions are kept there, rather than caches alone, which may be evicted.
    """
    try:
        latency = await inspection.latency_ms()
    except AwiError as error:
        return [_not_reached(error, settings)]
    checks = [_reached(latency, settings)]
    try:
        info: Info = await inspection.info()
    except NotTold:
        info = {}
    checks.append(await _authentication(inspection, settings))
    checks.append(_encryption(settings))
    checks.append(await _clock(inspection))
    if not info:
        return [
            *checks,
            *(not_permitted(name, "INFO") for name in ("version", "persistence", "eviction", "memory", "replication")),
        ]
    checks.append(_version(info))
    if sessions:
        checks.append(await _persistence(inspection, info))
        checks.append(_eviction(info))
    checks.append(_memory(info))
    checks.append(await _replication(inspection, info, settings))
    return checks


def _not_reached(error: AwiError, settings: Settings) -> Check:
    if isinstance(error, AccessDenied):
        return failed("reachable", str(error), "set REDIS_USERNAME and REDIS_PASSWORD, or REDIS_URL, or a profile")
    port = settings.redis_port
    remedy = (
        f"see whether it runs (`redis-cli -p {port} ping`), start it (`systemctl start redis`, `docker start …`), and "
        "read its log if it does not start; or correct the address (`awictl config show`), or use `--embedded`"
    )
    return failed("reachable", str(error), remedy)


def _reached(latency_ms: float, settings: Settings) -> Check:
    evidence = f"{settings.redis_address} answers in {latency_ms:.1f} ms"
    if latency_ms > SLOW_MS:
        return warned("reachable", evidence, "look at the network, at SLOWLOG, and at what else the server does")
    return passed("reachable", evidence)


def _version(info: Info) -> Check:
    name = info.get("server_name", "redis")
    version = info.get("valkey_version") if name == "valkey" else info.get("redis_version")
    numbers = tuple(map(int, re.findall(r"\d+", version or "")[:2]))
    oldest = OLDEST.get(name, OLDEST["redis"])
    if numbers and numbers < oldest:
        needed = ".".join(map(str, oldest))
        return failed("version", f"{name} {version}", f"upgrade it: awictl needs {needed} or later")
    return passed("version", f"{name} {version or 'of unknown version'}")


async def _authentication(inspection: Inspection, settings: Settings) -> Check:
    try:
        user = f"as user {await inspection.user()}"
    except NotTold:
        user = "as a user whose name is not told"
    if settings.redis_password or settings.redis_username:
        return passed("authentication", f"with a password, {user}")
    if settings.redis_socket or settings.redis_host in _HERE:
        return passed("authentication", f"without a password, {user}, from this machine only as far as can be told")
    return warned(
        "authentication",
        f"no password is asked for: whoever reaches {settings.redis_address} can read and delete every session",
        "set `requirepass` or ACL users on the server, and REDIS_PASSWORD here",
    )


def _encryption(settings: Settings) -> Check:
    if settings.redis_tls:
        return passed("tls", "encrypted, and the server's certificate is verified")
    if settings.redis_socket or settings.redis_host in _HERE:
        return passed("tls", "not encrypted, but it does not leave this machine")
    return warned(
        "tls",
        f"the connection to {settings.redis_host} is not encrypted, and passes on passwords and sessions",
        "use rediss:// (REDIS_TLS=true) if the server offers it; in a private network you may leave it",
    )


async def _clock(inspection: Inspection) -> Check:
    try:
        ahead = await inspection.ahead_ms()
    except NotTold as command:
        return not_permitted("clock", str(command))
    way = "ahead of" if ahead > 0 else "behind"
    evidence = f"the server's clock is {duration(abs(ahead))} {way} this machine's"
    if abs(ahead) < SKEW_MS:
        return passed("clock", evidence)
    remedy = "let NTP set both clocks: times of activity and rate limits are told by them (expiries are not)"
    return (failed if abs(ahead) >= WRONG_CLOCK_MS else warned)("clock", evidence, remedy)


async def _persistence(inspection: Inspection, info: Info) -> Check:
    log = info.get("aof_enabled") == "1"
    faults = [
        words
        for name, words in (
            ("rdb_last_bgsave_status", "the last snapshot (RDB) failed"),
            ("aof_last_write_status", "the last write of the log (AOF) failed"),
            ("aof_last_bgrewrite_status", "the last rewrite of the log (AOF) failed"),
        )
        if info.get(name) == "err" and (log or name.startswith("rdb"))
    ]
    if faults:
        return failed(
            "persistence", "; ".join(faults), "see the server's log: most often the disk is full, or not writable"
        )
    since = f", {int(info.get('rdb_changes_since_last_save', '0')):,} changes since the last snapshot"
    if log:
        return passed("persistence", f"AOF is on{since}")
    try:
        save = await inspection.config("save")
    except NotTold as command:
        return not_permitted(
            "persistence", str(command), "AOF is off; see in your provider's console whether RDB is on"
        )
    if save.strip():
        remedy = "switch AOF on if the sessions of the last minutes must survive a crash: `appendonly yes`"
        return warned("persistence", f"RDB alone (save {save}){since}", remedy)
    return warned(
        "persistence",
        "neither RDB nor AOF: a restart loses every live session",
        "switch AOF on (`appendonly yes`), unless sessions may be lost",
    )


def _eviction(info: Info) -> Check:
    policy, limit = info.get("maxmemory_policy", ""), int(info.get("maxmemory", "0"))
    evicted = int(info.get("evicted_keys", "0"))
    evidence = f"maxmemory-policy {policy or 'unknown'}, maxmemory {limit:,}" + ("" if limit else " (no limit)")
    remedy = (
        "set `maxmemory-policy noeviction` where sessions are kept, and keep caches and media on a server of their own "
        "(AWI_CACHE_REDIS_URL, AWI_MEDIA_REDIS_URL)"
    )
    if evicted:
        return failed("eviction", f"{evidence}: {evicted:,} keys were evicted since its start, maybe sessions", remedy)
    if policy and policy != "noeviction":
        if limit:
            return failed("eviction", f"{evidence}: it may evict sessions", remedy)
        return warned("eviction", f"{evidence}: it would evict sessions if it got a limit", remedy)
    if not policy:
        return not_permitted("eviction", "maxmemory_policy in INFO")
    return passed("eviction", f"{evidence}, nothing was evicted")


def _memory(info: Info) -> Check:
    used, limit = int(info.get("used_memory", "0")), int(info.get("maxmemory", "0"))
    of = "maxmemory"
    if not limit:
        limit, of = int(info.get("total_system_memory", "0")), "the machine's memory"
    if not used or not limit:
        return not_permitted("memory", "used_memory in INFO")
    share = used / limit
    evidence = f"{used:,} bytes in use, {share:.0%} of {of}"
    remedy = "find out what takes it (`awictl keys stats`), and give it more memory before writes are refused"
    if share >= _OVERFULL:
        return failed("memory", evidence, remedy)
    return warned("memory", evidence, remedy) if share >= _FULL else passed("memory", evidence)


async def _replication(inspection: Inspection, info: Info, settings: Settings) -> Check:
    if info.get("cluster_enabled") == "1":
        try:
            state = (await inspection.cluster()).get("cluster_state", "unknown")
        except NotTold:
            state = "not told"
        remedy = "connect to a server that is no cluster: awictl does not follow a cluster's slots yet"
        return failed("replication", f"a cluster (state {state})", remedy)
    role, wanted = info.get("role", "unknown"), settings.wait_replicas
    if role == "slave":
        if info.get("master_link_status") != "up":
            remedy = "restore the link to its primary: what is read here may be old"
            return failed("replication", "a replica that has lost its primary", remedy)
        remedy = "connect to the primary to write; reading from here is fine"
        return warned("replication", "a replica: it refuses writes", remedy)
    replicas = [line for name, line in info.items() if re.fullmatch(r"slave\d+", name)]
    online = [line for line in replicas if "state=online" in line]
    late = [line for line in online if int((re.search(r"lag=(\d+)", line) or ["", "0"])[1]) > _LAG_SECONDS]
    evidence = f"{role}, {len(online)} of {len(replicas)} replicas online" if replicas else f"{role}, without replicas"
    if len(online) < wanted:
        remedy = "start the replicas, or lower AWI_WAIT_REPLICAS: every write waits for them in vain"
        return failed("replication", f"{evidence}, but AWI_WAIT_REPLICAS is {wanted}", remedy)
    if len(online) < len(replicas) or late:
        remedy = "see the replicas' logs and the network"
        return warned("replication", f"{evidence}, {len(late)} of them more than {_LAG_SECONDS} s behind", remedy)
    return passed("replication", evidence)

"""Parse the URLs of Redis servers and archives, and remove secrets from them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ..errors import InvalidInput
from .addresses import canonical_list, join_addresses, parse_addresses

#: The settings that are URLs of Redis servers besides the one for sessions.
OTHER_SERVERS = ("cache_redis_url", "media_redis_url")
#: The port of a sentinel.
SENTINEL_PORT = 26379
#: The port of MongoDB, and the database if a URL names none: the default of mongoose, and so of the app.
MONGODB_PORT, MONGODB_DATABASE = 27017, "test"
_EXPECTED = (
    "expected redis://HOST, rediss://HOST, unix:///PATH, redis+sentinel://HOST:PORT,HOST:PORT/MASTER or "
    "redis+cluster://HOST:PORT,HOST:PORT (rediss+… with TLS)"
)
_SENTINEL_PARAMETERS = ("sentinel_username", "sentinel_password")
_ESCAPE_HINT = "its host or port is malformed; percent-encode / ? # @ : [ ] in a user name or password"


def with_redis_scheme(address: str) -> str:
    """Return a URL of a Redis server from a URL, HOST, HOST:PORT, HOST:PORT/DB or the absolute path of a socket."""
    if "://" in address:
        return address
    return f"unix://{quote(address)}" if address.startswith("/") else f"redis://{address}"


def parse_redis_url(url: str, source: str) -> dict[str, Any]:
    """Return the settings, by field name, that a Redis URL contains; DESIGN section 4 has its forms.

    Address, kind of deployment, database and TLS are always set; credentials only if the URL has them. `source` names
    the origin of the URL in errors. Raises InvalidInput.
    """
    error = f"{source}: this is not a Redis URL"
    try:
        parts = urlsplit(url)
        kind = parts.scheme.partition("+")[2]
        port = parts.port if not kind else None
    except ValueError:
        # without the reason, which may contain a part of the password
        several = "redis+cluster:// and redis+sentinel:// name several servers, others only one; "
        hint = several if _several(url) else ""
        raise InvalidInput(f"{error}: {hint}{_ESCAPE_HINT}") from None
    if parts.fragment or "@" in parts.path + parts.query:
        raise InvalidInput(f"{error}: {_ESCAPE_HINT}")
    query = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    found: dict[str, Any] = {"redis_socket": None, "redis_sentinels": None, "redis_cluster": False}
    if parts.scheme in ("redis", "rediss"):
        if not parts.hostname:
            raise InvalidInput(f"{error}: it names no host")
        if _several(url):
            raise InvalidInput(f"{error}: to name several servers, use redis+cluster:// or redis+sentinel://")
        found |= {
            "redis_host": unquote(parts.hostname),
            "redis_port": 6379 if port is None else port,
            "redis_db": parts.path.strip("/") or 0,
        }
    elif parts.scheme in ("redis+sentinel", "rediss+sentinel"):
        master, _, database = unquote(parts.path).strip("/").partition("/")
        if master.isdigit() and not database:
            raise InvalidInput(f"{error}: the master's name precedes the database, as in /mymaster/{master}")
        found |= {
            "redis_sentinels": join_addresses(_hosts(parts.netloc, SENTINEL_PORT, error)),
            "redis_sentinel_master": master or "mymaster",
            "redis_db": database or 0,
        }
        found |= {f"redis_{name}": unquote(query.pop(name)) for name in _SENTINEL_PARAMETERS if name in query}
    elif parts.scheme in ("redis+cluster", "rediss+cluster"):
        seeds = _hosts(parts.netloc, 6379, error)
        host, port = (join_addresses(seeds), 6379) if len(seeds) > 1 else seeds[0]
        if parts.path.strip("/") not in ("", "0") or query.pop("db", "0") != "0":
            raise InvalidInput(f"{error}: a cluster has only database 0")
        found |= {"redis_cluster": True, "redis_host": host, "redis_port": port, "redis_db": 0}
    elif parts.scheme == "unix" and parts.path and not parts.hostname:
        found |= {"redis_socket": unquote(parts.path), "redis_db": 0}
    else:
        raise InvalidInput(f"{error}; {_EXPECTED}")
    if parts.scheme != "unix":
        found["redis_tls"] = parts.scheme.startswith("rediss")
    if "db" in query:
        found["redis_db"] = query.pop("db")
    if query:
        raise InvalidInput(f"{source}: this Redis URL has unsupported parameters: {', '.join(sorted(query))}")
    if parts.username:
        found["redis_username"] = unquote(parts.username)
    if parts.password:
        found["redis_password"] = unquote(parts.password)
    return found


def _several(url: str) -> bool:
    """Whether the part of a URL after its credentials lists several hosts."""
    return "," in url.partition("://")[2].rpartition("@")[2].partition("/")[0]


def _hosts(netloc: str, default_port: int, error: str) -> tuple[tuple[str, int], ...]:
    try:
        return parse_addresses(unquote(netloc.rpartition("@")[2]), default_port)
    except ValueError:
        raise InvalidInput(f"{error}: {_ESCAPE_HINT}") from None


_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@?#,]+)(:[0-9]+)?"
_HOSTS = re.compile(rf"{_HOST}(,{_HOST})*(/[^/@:?#]*){{0,2}}")
_PARAMETER = re.compile(r"[A-Za-z]+=")
#: Parameters of a MongoDB URL that are secrets.
_SECRETS = ("tlscertificatekeyfilepassword", "authmechanismproperties", "proxypassword")


def check_archive_url(url: str, source: str) -> str:
    """Return the URL if its scheme names a kind of archive. Raises InvalidInput.

    The rest of the URL is checked when the archive is opened.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in ("mongodb", "mongodb+srv", "sqlite"):
        raise InvalidInput(f"{source}: this is not an archive; expected mongodb://HOST/DATABASE or sqlite:///FILE")
    if scheme == "sqlite" and not (rest.startswith("/") and rest.strip("/")):
        raise InvalidInput(
            f"{source}: this is not an archive; expected sqlite:///RELATIVE/PATH or sqlite:////ABSOLUTE/PATH"
        )
    return url


def has_password(url: str) -> bool:
    """Whether an archive's URL contains a secret: a password, or a secret parameter."""
    parameters = {one.partition("=")[0].lower() for one in url.partition("?")[2].split("&")}
    return bool(user_info(url).partition(":")[2]) or not parameters.isdisjoint(_SECRETS)


def user_info(url: str) -> str:
    """The `user:password` part of a URL, still percent-encoded; empty if it has none."""
    scheme, _, rest = url.partition("://")
    return rest.rpartition("@")[0] if scheme != "sqlite" else ""


def without_credentials(url: str) -> str:
    """An archive's URL for messages, without user, password and parameters (which may be secrets)."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return url
    before, _, parameters = rest.partition("?")
    if "@" in parameters and not _PARAMETER.match(parameters):  # the question mark is part of the password
        before = rest.rpartition("@")[2].partition("?")[0]
    shown = before.rpartition("@")[2]
    return f"{scheme}://{shown if _HOSTS.fullmatch(shown) else ''}"


def canonical_mongodb(url: str) -> str:
    """A MongoDB URL for comparison: scheme, hosts in any order, and database, without credentials and parameters."""
    scheme, _, rest = without_credentials(url).partition("://")
    hosts, _, database = rest.partition("/")
    try:
        hosts = canonical_list(parse_addresses(hosts, MONGODB_PORT))
    except ValueError:
        hosts = hosts.lower()
    return f"{scheme}://{hosts}/{database or MONGODB_DATABASE}"

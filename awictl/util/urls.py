"""Parse the URLs of Redis servers and archives, and remove secrets from them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from ..errors import InvalidInput

_ESCAPE_HINT = "its host or port is malformed; percent-encode / ? # @ : [ ] in a user name or password"


def with_redis_scheme(address: str) -> str:
    """Return a URL of a Redis server from a URL, HOST, HOST:PORT, HOST:PORT/DB or the absolute path of a socket."""
    if "://" in address:
        return address
    return f"unix://{quote(address)}" if address.startswith("/") else f"redis://{address}"


def parse_redis_url(url: str, source: str) -> dict[str, Any]:
    """Return the settings, by field name, that a `redis://`, `rediss://` or `unix://` URL contains.

    Host, port, database and TLS are always set; credentials only if the URL has them. `source` names the origin of the
    URL in errors. Raises InvalidInput.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # without the reason, which may contain a part of the password
        raise InvalidInput(f"{source}: this is not a Redis URL: {_ESCAPE_HINT}") from None
    if parts.fragment or "@" in parts.path + parts.query:
        raise InvalidInput(f"{source}: this is not a Redis URL: {_ESCAPE_HINT}")
    found: dict[str, Any] = {}
    query = dict(pair.partition("=")[::2] for pair in parts.query.split("&") if pair)
    if parts.scheme in ("redis", "rediss"):
        if not parts.hostname:
            raise InvalidInput(f"{source}: this is not a Redis URL: it names no host")
        found |= {
            "redis_host": unquote(parts.hostname),
            "redis_port": 6379 if port is None else port,
            "redis_tls": parts.scheme == "rediss",
            "redis_socket": None,
            "redis_db": parts.path.strip("/") or 0,
        }
    elif parts.scheme == "unix" and parts.path and not parts.hostname:
        found |= {"redis_socket": unquote(parts.path), "redis_db": 0}
    else:
        raise InvalidInput(f"{source}: this is not a Redis URL; expected redis://HOST, rediss://HOST or unix:///PATH")
    if "db" in query:
        found["redis_db"] = query.pop("db")
    if query:
        raise InvalidInput(f"{source}: this Redis URL has unsupported parameters: {', '.join(sorted(query))}")
    if parts.username:
        found["redis_username"] = unquote(parts.username)
    if parts.password:
        found["redis_password"] = unquote(parts.password)
    return found


_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/@?#,]+)(:[0-9]+)?"
_HOSTS = re.compile(rf"{_HOST}(,{_HOST})*(/[^/@:?#]*)?")
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

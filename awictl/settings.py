"""Settings: their names, types and defaults, and where each value comes from.

The precedence is: command-line option, environment, `.env` in the working directory, profile in `config.toml`, default.
The names in the environment are those of the Express app (REDIS_HOST …). A profile has the same names in lower case:

    default_profile = "production"

    [profiles.production]
    redis_url = "rediss://awi@redis.example.com:6380/0"
    mongodb_uri = "mongodb://awi@mongo.example.com/awi"
    read_only = true
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from .errors import InvalidInput, ReadOnly
from .util.addresses import addresses, canonical_host, canonical_list, in_brackets, join_addresses, parse_addresses
from .util.config_files import Profile, read_dotenv, read_profile
from .util.converters import boolean, integer, number, origins
from .util.layers import OPTIONS, options_layer, profile_layer, variables_layer
from .util.precedence import resolve_conflicts
from .util.setting import Setting
from .util.setting import setting as _setting
from .util.urls import (
    OTHER_SERVERS,
    SENTINEL_PORT,
    canonical_mongodb,
    check_archive_url,
    parse_redis_url,
    user_info,
    without_credentials,
)

_MASK = "********"
#: The settings that are URLs of archives.
_ARCHIVES = ("mongodb_uri", "archive_url")
#: The settings that say which Redis deployment to connect to, and as which user.
SERVER = (
    *("redis_host", "redis_port", "redis_socket", "redis_username", "redis_password", "redis_db", "redis_tls"),
    *("redis_sentinels", "redis_sentinel_master", "redis_sentinel_username", "redis_sentinel_password"),
    "redis_cluster",
)


@dataclass(frozen=True)
class Settings:
    """All settings, resolved. `Settings.load()` reads them from options, environment, `.env` and profile."""

    redis_host: str = _setting("localhost", "REDIS_HOST", "Host of the Redis or Valkey server.")
    redis_port: int = _setting(6379, "REDIS_PORT", "TCP port of the server.", integer(1, 65535))
    redis_socket: str | None = _setting(None, "REDIS_SOCKET", "Path of a Unix socket, used instead of host and port.")
    redis_username: str | None = _setting(None, "REDIS_USERNAME", "ACL user.")
    redis_password: str | None = _setting(None, "REDIS_PASSWORD", "Password.", secret=True)
    redis_db: int = _setting(0, "REDIS_DB", "Number of the database.", integer(0))
    redis_tls: bool = _setting(False, "REDIS_TLS", "Use TLS and verify the server's certificate.", boolean)
    redis_tls_ca_certs: str | None = _setting(
        None, "REDIS_TLS_CA_CERTS", "Path of a PEM file with the CA certificates to trust, instead of the system's."
    )
    redis_tls_cert: str | None = _setting(
        None, "REDIS_TLS_CERT", "Path of a PEM file with the client's certificate, if the server requires one."
    )
    redis_tls_key: str | None = _setting(
        None, "REDIS_TLS_KEY", "Path of a PEM file with the key of that certificate, if it is in another file."
    )
    redis_sentinels: str | None = _setting(
        None,
        "REDIS_SENTINELS",
        "Addresses of the sentinels that know the primary, HOST:PORT with commas; used instead of host and port.",
        addresses(SENTINEL_PORT),
    )
    redis_sentinel_master: str = _setting("mymaster", "REDIS_SENTINEL_MASTER", "Name of the primary at the sentinels.")
    redis_sentinel_username: str | None = _setting(None, "REDIS_SENTINEL_USERNAME", "ACL user at the sentinels.")
    redis_sentinel_password: str | None = _setting(
        None, "REDIS_SENTINEL_PASSWORD", "Password at the sentinels.", secret=True
    )
    redis_cluster: bool = _setting(
        False,
        "REDIS_CLUSTER",
        "The server is a node of a Redis Cluster; REDIS_HOST may list several, HOST:PORT separated by commas.",
        boolean,
    )
    timeout: float = _setting(5.0, "AWI_TIMEOUT", "Seconds to wait for a connection or a reply.", number(0.001))
    session_ttl_minutes: float = _setting(30, "SESSION_TTL_MINUTES", "TTL of a session, in minutes.", number(0.001))
    list_cache_ttl_minutes: float = _setting(
        5, "LIST_CACHE_TTL_MINUTES", "TTL of cached query results, in minutes.", number(0.001)
    )
    media_cache_ttl_minutes: float = _setting(
        60, "MEDIA_CACHE_TTL_MINUTES", "TTL of cached images and embeddings, in minutes.", number(0.001)
    )
    cache_redis_url: str | None = _setting(
        None, "AWI_CACHE_REDIS_URL", "URL of the Redis server for cached query results, if it is another.", secret=True
    )
    media_redis_url: str | None = _setting(
        None, "AWI_MEDIA_REDIS_URL", "URL of the Redis server for images and embeddings, if it is another.", secret=True
    )
    max_actions: int = _setting(
        1000,
        "AWI_MAX_ACTIONS_PER_SESSION",
        "Maximum number of actions kept in a session; older ones are trimmed.",
        integer(1),
    )
    max_delta_bytes: int = _setting(
        1_048_576, "AWI_MAX_DELTA_BYTES", "Maximum size of an update's delta, and of its input, in bytes.", integer(2)
    )
    max_document_bytes: int = _setting(
        67_108_864, "AWI_MAX_DOCUMENT_BYTES", "Maximum size of a document read or written, in bytes.", integer(1024)
    )
    wait_replicas: int = _setting(
        0,
        "AWI_WAIT_REPLICAS",
        "Number of replicas that must acknowledge a write; if fewer do, it is reported as unconfirmed.",
        integer(0),
    )
    mongodb_uri: str | None = _setting(
        None, "MONGODB_URI", "URL of the MongoDB server and database to archive sessions in.", secret=True
    )
    archive_url: str | None = _setting(
        None,
        "AWI_ARCHIVE_URL",
        "URL of the archive, used instead of MONGODB_URI: mongodb://HOST/DATABASE or sqlite:///FILE.",
        secret=True,
    )
    use_redis: bool = _setting(
        True, "AWI_USE_REDIS", "Keep live sessions in Redis; if off, in the MongoDB of MONGODB_URI.", boolean
    )
    fallback: bool = _setting(
        True,
        "AWI_FALLBACK",
        "Record updates in the MongoDB of MONGODB_URI while Redis is unreachable, and apply them to Redis afterwards.",
        boolean,
    )
    serve_cors: str | None = _setting(
        None, "AWI_SERVE_CORS", "Origins of web pages that may call `awictl serve`, separated by commas.", origins
    )
    read_only: bool = _setting(False, "AWI_READ_ONLY", "Refuse every write.", boolean)
    embedded: bool = _setting(False, "AWI_EMBEDDED", "Use the private server that awictl starts.", boolean)
    embedded_dir: str | None = _setting(
        None, "AWI_EMBEDDED_DIR", "Folder of the private server, instead of one in the user's data folder."
    )

    #: The profile in use.
    profile: str | None = None
    #: The source of each value that is not a default: field name → source.
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def session_ttl_ms(self) -> int:
        """TTL of a session, in milliseconds."""
        return int(self.session_ttl_minutes * 60_000)

    @property
    def list_cache_ttl_ms(self) -> int:
        """TTL of cached query results, in milliseconds."""
        return int(self.list_cache_ttl_minutes * 60_000)

    @property
    def media_cache_ttl_ms(self) -> int:
        """TTL of cached images and embeddings, in milliseconds."""
        return int(self.media_cache_ttl_minutes * 60_000)

    def check_writable(self) -> None:
        """Raise ReadOnly if these settings refuse all writes."""
        if self.read_only:
            source = self.sources.get("read_only", "Settings")
            raise ReadOnly(f"nothing was written: the settings are read-only (AWI_READ_ONLY, from {source})")

    def for_server(self, url: str) -> Settings:
        """Return these settings for the server of a Redis URL, with no other credentials than those in the URL."""
        defaults: dict[str, Any] = {name: getattr(Settings, name) for name in SERVER}
        found = _parsed(url, "AWI_CACHE_REDIS_URL or AWI_MEDIA_REDIS_URL")
        return replace(self, **(defaults | found), embedded=False, use_redis=True)

    @property
    def topology(self) -> Literal["standalone", "sentinel", "cluster"]:
        """The kind of the Redis deployment."""
        if self.redis_socket or self.embedded:
            return "standalone"
        return "cluster" if self.redis_cluster else "sentinel" if self.redis_sentinels else "standalone"

    @property
    def sentinel_addresses(self) -> tuple[tuple[str, int], ...]:
        """(host, port) of each sentinel; empty if there are none. Raises InvalidInput."""
        return _addresses(self.redis_sentinels, SENTINEL_PORT, "REDIS_SENTINELS") if self.redis_sentinels else ()

    @property
    def cluster_seeds(self) -> tuple[tuple[str, int], ...]:
        """(host, port) of each node that the settings name; the cluster itself says which others it has."""
        return _addresses(self.redis_host, self.redis_port, "REDIS_HOST")

    @property
    def keyspace_id(self) -> tuple[str, int, int]:
        """Identity of the keyspace, for comparison: equal for settings that name the same database.

        The same after a failover: that of Sentinel is the name of the primary and the sentinels, that of a cluster the
        nodes that the settings name, in any order.
        """
        if not self.use_redis:
            return canonical_mongodb(self.live_mongodb or ""), 0, 0
        if self.topology == "sentinel":
            name = f"sentinel://{canonical_list(self.sentinel_addresses)}/{self.redis_sentinel_master}"
            return name, 0, self.redis_db
        if self.topology == "cluster":
            return f"cluster://{canonical_list(self.cluster_seeds)}", 0, 0
        if self.redis_socket:
            return self.redis_socket, 0, self.redis_db
        return canonical_host(self.redis_host), self.redis_port, self.redis_db

    @property
    def redis_address(self) -> str:
        """URL of the server, or of all sentinels or seeds, without credentials, for messages."""
        if self.redis_socket:
            return f"unix://{self.redis_socket}"
        scheme = "rediss" if self.redis_tls else "redis"
        if self.topology == "sentinel":
            hosts = join_addresses(self.sentinel_addresses)
            return f"{scheme}+sentinel://{hosts}/{self.redis_sentinel_master}/{self.redis_db}"
        if self.topology == "cluster":
            return f"{scheme}+cluster://{join_addresses(self.cluster_seeds)}"
        return f"{scheme}://{in_brackets(self.redis_host)}:{self.redis_port}/{self.redis_db}"

    @property
    def live_mongodb(self) -> str | None:
        """URL of the MongoDB database, with credentials, that has the live sessions if Redis has not; None if none."""
        urls = (self.mongodb_uri, self.archive_url)
        return next((one for one in urls if one and not one.startswith("sqlite:")), None)

    @property
    def archive(self) -> str | None:
        """URL of the archive, with credentials; None if there is none, or only that of the embedded server."""
        return self.archive_url or self.mongodb_uri

    @property
    def falls_back(self) -> bool:
        """Whether sessions go on in MongoDB while Redis is unreachable."""
        return self.fallback and self.use_redis and (self.archive or "").startswith("mongodb")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value, _ in self.rows())
        return f"Settings({shown})"

    def rows(self) -> list[tuple[str, Any, str]]:
        """Return (environment name, value, source) of every setting, with secrets masked."""
        return [
            (one.env, _masked(name, getattr(self, name)), self.sources.get(name, "default"))
            for name, one in SETTINGS.items()
        ]

    @classmethod
    def load(
        cls,
        options: Mapping[str, Any] | None = None,
        *,
        profile: str | Profile | None = None,
        environ: Mapping[str, str] | None = None,
        config_file: Path | None = None,
        dotenv_file: Path | None = None,
    ) -> Settings:
        """Read the settings from all sources.

        `options` are explicit values by field name, or `redis_url`. The profile is `profile` (empty: none; or one that
        was read before), or AWI_PROFILE, or the `default_profile` of config.toml. Unknown names, but those in the
        profile, are logged as warnings. Raises InvalidInput for an unknown profile, an unknown name in it, a value of
        the wrong type, and a URL with a password in `options` (the command line).
        """
        environ = os.environ if environ is None else environ
        dotenv = read_dotenv(dotenv_file or Path(".env"))
        if profile is None:
            profile = environ.get("AWI_PROFILE") or dotenv.get("AWI_PROFILE") or None
        chosen = read_profile(profile, config_file) if profile != "" else None
        variables = {name: one.env for name, one in SETTINGS.items()}
        layers = [options_layer(dict(options or {}), variables), variables_layer("environment", environ, _BY_ENV)]
        layers.append(variables_layer(".env", dotenv, _BY_ENV))
        if chosen is not None:
            layers.append(profile_layer(chosen, _BY_ENV))

        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for layer in layers:
            # a URL describes one server completely, so it says nothing about another one that a nearer layer names
            other_server = "redis_host" in values or values.get("redis_socket") or values.get("redis_sentinels")
            for name, value in (layer.named if other_server else layer.merged()).items():
                if name not in values:
                    values[name] = _converted(name, value, layer.source)
                    sources[name] = layer.source
        resolve_conflicts(values, sources, [layer.source for layer in layers])
        return cls(**values, profile=chosen.name if chosen else None, sources=sources)


#: All settings, by field name.
SETTINGS: dict[str, Setting] = {one.name: one.metadata["setting"] for one in fields(Settings) if one.metadata}
_BY_ENV = {setting.env: name for name, setting in SETTINGS.items()}


def _masked(name: str, value: Any) -> Any:
    """Return a value as it may be printed."""
    if not value or not SETTINGS[name].secret:
        return value
    if name not in _ARCHIVES + OTHER_SERVERS:
        return _MASK
    shown = without_credentials(value)
    return shown.replace("://", f"://{_MASK}@", 1) if user_info(value) else shown


def _converted(name: str, value: Any, source: str) -> Any:
    """Return a value in the type of its field. Raises InvalidInput, which never contains the value of a secret."""
    if value is None:
        return None
    setting = SETTINGS[name]
    if source == "option":
        label = OPTIONS.get(name, f"--{name.replace('_', '-')}")
        if name in SERVER:
            label = f"--redis, {name.removeprefix('redis_')}"
    else:
        label = f"{setting.env} ({source})"
    try:
        converted = setting.convert(value)
    except ValueError as error:
        raise InvalidInput(f"{label}: {_MASK if setting.secret else repr(value)} {error}") from None
    if name == "mongodb_uri" and converted.startswith("sqlite:"):
        raise InvalidInput(f"{label}: this is not an archive in MongoDB; expected mongodb://HOST/DATABASE")
    if name in _ARCHIVES:
        check_archive_url(converted, label)
    elif name in OTHER_SERVERS:
        _parsed(converted, label)
    return converted


def _parsed(url: str, label: str) -> dict[str, Any]:
    """Return the settings that a Redis URL contains, each in the type of its field."""
    return {name: _converted(name, value, label) for name, value in parse_redis_url(url, label).items()}


def _addresses(text: str, default_port: int, label: str) -> tuple[tuple[str, int], ...]:
    try:
        return parse_addresses(text, default_port)
    except ValueError as error:
        raise InvalidInput(f"{label}: {text!r} {error}") from None

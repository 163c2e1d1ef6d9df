"""Settings: what the user chose, and where each value comes from.

An option on the command line wins over the environment, that over `.env` in the working directory, that over the
profile in `config.toml`, that over the default. The environment's names are those of the Express app (REDIS_HOST …);
in a profile the same names stand in lower case:

    [profiles.production]
    redis_url = "rediss://awi@redis.example.com:6380/0"
    mongodb_uri = "mongodb://awi@mongo.example.com/awi"
    read_only = true
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from .errors import InvalidInput, ReadOnly
from .util.urls import (
    check_archive_url,
    has_password,
    parse_redis_url,
    user_info,
    without_credentials,
)

_MASK = "********"
_ARCHIVES = ("mongodb_uri", "archive_url")
#: What says where the Redis server is, and as whom to talk to it; and the URLs of further servers.
_SERVER = (
    "redis_host",
    "redis_port",
    "redis_socket",
    "redis_username",
    "redis_password",
    "redis_db",
    "redis_tls",
)
_FURTHER = ("cache_redis_url", "media_redis_url")
_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})


def _setting(default: Any, env: str, help: str, *, secret: bool = False, minimum: float | None = None) -> Any:
    metadata = {"env": env, "help": help, "secret": secret, "minimum": minimum}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """All settings, resolved. `Settings.load()` reads them from where the user keeps them."""

    redis_host: str = _setting("localhost", "REDIS_HOST", "host of the Redis or Valkey server")
    redis_port: int = _setting(6379, "REDIS_PORT", "its port", minimum=1)
    redis_socket: str | None = _setting(None, "REDIS_SOCKET", "its Unix socket, instead of host and port")
    redis_username: str | None = _setting(None, "REDIS_USERNAME", "ACL user")
    redis_password: str | None = _setting(None, "REDIS_PASSWORD", "password", secret=True)
    redis_db: int = _setting(0, "REDIS_DB", "number of the database", minimum=0)
    redis_tls: bool = _setting(False, "REDIS_TLS", "encrypt the connection and verify the server's certificate")
    redis_tls_ca_certs: str | None = _setting(None, "REDIS_TLS_CA_CERTS", "file of CA certificates to trust for it")
    timeout: float = _setting(5.0, "AWI_TIMEOUT", "seconds to wait for a connection or an answer", minimum=0.001)
    session_ttl_minutes: float = _setting(
        30, "SESSION_TTL_MINUTES", "minutes until an idle session expires", minimum=0.001
    )
    list_cache_ttl_minutes: float = _setting(
        5, "LIST_CACHE_TTL_MINUTES", "minutes until cached results expire", minimum=0.001
    )
    media_cache_ttl_minutes: float = _setting(
        60, "MEDIA_CACHE_TTL_MINUTES", "minutes until cached media expire", minimum=0.001
    )
    cache_redis_url: str | None = _setting(
        None, "AWI_CACHE_REDIS_URL", "server of the cached results, where they have one of their own", secret=True
    )
    media_redis_url: str | None = _setting(
        None, "AWI_MEDIA_REDIS_URL", "server of the cached media, where they have one of their own", secret=True
    )
    max_actions: int = _setting(1000, "AWI_MAX_ACTIONS_PER_SESSION", "actions that a session keeps", minimum=1)
    max_delta_bytes: int = _setting(
        1_048_576, "AWI_MAX_DELTA_BYTES", "largest delta, and largest input, of an update", minimum=2
    )
    max_document_bytes: int = _setting(
        67_108_864, "AWI_MAX_DOCUMENT_BYTES", "largest document to read or write", minimum=1024
    )
    wait_replicas: int = _setting(
        0, "AWI_WAIT_REPLICAS", "replicas that must have a write before it counts as done", minimum=0
    )
    mongodb_uri: str | None = _setting(
        None, "MONGODB_URI", "MongoDB server and database to archive sessions in", secret=True
    )
    archive_url: str | None = _setting(
        None, "AWI_ARCHIVE_URL", "archive instead of that: mongodb://HOST/DB or sqlite:///FILE", secret=True
    )
    read_only: bool = _setting(False, "AWI_READ_ONLY", "refuse everything that writes")
    embedded: bool = _setting(False, "AWI_EMBEDDED", "use the private server that awictl starts")
    embedded_dir: str | None = _setting(
        None, "AWI_EMBEDDED_DIR", "its folder, instead of one in the user's data folder"
    )

    #: The profile in use.
    profile: str | None = None
    #: Where each value comes from, for those that are not defaults: field name → source.
    sources: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def session_ttl_ms(self) -> int:
        """Expiry of a session, in milliseconds."""
        return int(self.session_ttl_minutes * 60_000)

    @property
    def list_cache_ttl_ms(self) -> int:
        """Expiry of cached results, in milliseconds."""
        return int(self.list_cache_ttl_minutes * 60_000)

    @property
    def media_cache_ttl_ms(self) -> int:
        """Expiry of cached media, in milliseconds."""
        return int(self.media_cache_ttl_minutes * 60_000)

    def check_writable(self) -> None:
        """Raise ReadOnly if these settings refuse all writes."""
        if self.read_only:
            which = f"profile {self.profile}" if self.profile else "AWI_READ_ONLY"
            raise ReadOnly(f"nothing was written: {which} is read-only")

    def elsewhere(self, url: str) -> Settings:
        """The same settings for the server that a Redis URL names: without credentials but those in the URL."""
        nowhere: dict[str, Any] = {one: _FIELDS[one].default for one in _SERVER}
        return replace(self, **(nowhere | _parsed(url, "AWI_CACHE_REDIS_URL or AWI_MEDIA_REDIS_URL")))

    @property
    def redis_place(self) -> tuple[str, int, int]:
        """Which keys these are, whatever the server is called: two settings with the same place see the same ones."""
        if self.redis_socket:
            return self.redis_socket, 0, self.redis_db
        host = "localhost" if self.redis_host in ("127.0.0.1", "::1") else self.redis_host.lower()
        return host, self.redis_port, self.redis_db

    @property
    def redis_address(self) -> str:
        """The server as a URL without secrets, for messages."""
        if self.redis_socket:
            return f"unix://{self.redis_socket}"
        host = f"[{self.redis_host}]" if ":" in self.redis_host else self.redis_host
        return f"{'rediss' if self.redis_tls else 'redis'}://{host}:{self.redis_port}/{self.redis_db}"

    @property
    def archive(self) -> str | None:
        """The URL of the archive, credentials included; None where there is none but, if any, the embedded one."""
        return self.archive_url or self.mongodb_uri

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value, _ in self.rows())
        return f"Settings({shown})"

    def rows(self) -> list[tuple[str, Any, str]]:
        """(environment name, value, source) of every setting, with secrets masked."""
        return [
            (
                one.metadata["env"],
                _masked(one, getattr(self, one.name)),
                self.sources.get(one.name, "default"),
            )
            for one in _FIELDS.values()
        ]

    @classmethod
    def load(
        cls,
        options: Mapping[str, Any] | None = None,
        *,
        profile: str | None = None,
        environ: Mapping[str, str] | None = None,
        config_file: Path | None = None,
        dotenv_file: Path | None = None,
    ) -> Settings:
        """The settings from all their places.

        `options`: what was given explicitly, by field name, or `redis_url`. Raises InvalidInput for an unknown
        profile, an unknown name in a profile, a value of the wrong kind, and a password in a URL of `options`, which
        come from a command line.
        """
        environ = os.environ if environ is None else environ
        dotenv = _read_dotenv(dotenv_file or Path(".env"))
        profile = profile or environ.get("AWI_PROFILE") or dotenv.get("AWI_PROFILE") or None
        options = dict(options or {})
        layers = [
            Layer("option", *_from_options(options)),
            Layer("environment", *_from_environment(environ)),
            Layer(".env", *_from_environment(dotenv)),
        ]
        if profile is not None:
            found = _from_profile(profile, config_file or default_config_file())
            layers.append(Layer(f"profile {profile}", *found))

        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for layer in layers:
            # a URL describes one server whole: it says nothing of another one that was named closer to the user
            elsewhere = "redis_host" in values or values.get("redis_socket")
            for name, value in (layer.named if elsewhere else layer.named | layer.url).items():
                if name not in values:
                    values[name] = _typed(name, value, layer.source)
                    sources[name] = layer.source
        _settle(values, sources, [layer.source for layer in layers])
        return cls(**values, profile=profile, sources=sources)


@dataclass(frozen=True)
class Layer:
    """What one place says."""

    source: str
    #: Settings by name.
    named: dict[str, Any]
    #: What its URL says, by the names of the settings.
    url: dict[str, Any]


_FIELDS = {one.name: one for one in fields(Settings) if one.metadata}
_BY_ENV = {one.metadata["env"]: name for name, one in _FIELDS.items()}


def default_config_file() -> Path:
    """Where profiles are kept: `config.toml` in the user's config folder."""
    import platformdirs

    return platformdirs.user_config_path("awictl") / "config.toml"


def _masked(one: Field[Any], value: Any) -> Any:
    """A setting as it may be shown."""
    if not value or not one.metadata["secret"]:
        return value
    if one.name not in _ARCHIVES + _FURTHER:
        return _MASK
    shown = without_credentials(value)
    return shown.replace("://", f"://{_MASK}@", 1) if user_info(value) else shown


#: Settings by name, and what a URL says.
_Found = tuple[dict[str, Any], dict[str, Any]]


def _from_options(options: dict[str, Any]) -> _Found:
    url = options.pop("redis_url", None)
    found = parse_redis_url(url, "--redis") if url is not None else {}
    if "redis_password" in found:
        raise _password_in_arguments("--redis", "REDIS_PASSWORD, REDIS_URL")
    for name, option in (("mongodb_uri", "--mongo"), ("archive_url", "--archive")):
        if name in options and has_password(check_archive_url(options[name], option)):
            raise _password_in_arguments(option, _FIELDS[name].metadata["env"])
    return options, found


def _password_in_arguments(option: str, instead: str) -> InvalidInput:
    return InvalidInput(
        f"{option}: a password on the command line can be read by every user of this machine; "
        f"give it in {instead}, .env or a profile instead"
    )


def _from_environment(environ: Mapping[str, str]) -> _Found:
    url = environ.get("REDIS_URL")
    named = {name: environ[env] for env, name in _BY_ENV.items() if environ.get(env)}
    return named, parse_redis_url(url, "REDIS_URL") if url else {}


def _read_dotenv(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        return {name: value for name, value in dotenv_values(path, interpolate=False).items() if value is not None}
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"{path}: cannot be read: not UTF-8") from None


def _from_profile(profile: str, path: Path) -> _Found:
    import tomllib

    try:
        with path.open("rb") as file:
            config = tomllib.load(file)
    except FileNotFoundError:
        config = {}
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read: {error}") from None
    profiles = config.get("profiles", {})
    if not isinstance(profiles, dict) or not isinstance(profiles.get(profile), dict):
        known = ", ".join(sorted(profiles)) if isinstance(profiles, dict) and profiles else "none"
        raise InvalidInput(f"there is no profile {profile!r} in {path} (known: {known})")
    values = dict(profiles[profile])
    source = f"{path}, profile {profile}"
    url = values.pop("redis_url", None)
    if url is not None and not isinstance(url, str):
        raise InvalidInput(f"{source}: redis_url is not text")
    found = parse_redis_url(url, f"{source}: redis_url") if url is not None else {}
    # a profile may use the field's name or the environment's in lower case
    lower = {env.lower(): name for env, name in _BY_ENV.items()}
    named = {}
    for key, value in values.items():
        name = key if key in _FIELDS else lower.get(key)
        if name is None:
            raise InvalidInput(f"{source}: there is no setting {key!r}")
        named[name] = value
    return named, found


def _settle(values: dict[str, Any], sources: dict[str, str], order: list[str]) -> None:
    """Decide between a host, a socket and the embedded server, and between the archives.

    The one that was named closest to the user counts.
    """

    def rank(name: str) -> int:
        return order.index(sources[name]) if values.get(name) else len(order)

    server = min(rank("redis_host"), rank("redis_socket"))
    # who names a server means it for all kinds of keys, unless others are named as close
    for name in _FURTHER:
        if min(server, rank("embedded")) < rank(name):
            values[name] = None
    if values.get("embedded"):
        if rank("embedded") == server == order.index("option"):
            raise InvalidInput("--embedded and --redis name two different servers: give one of them")
        values["embedded"] = rank("embedded") <= server
    if rank("redis_host") < rank("redis_socket"):
        values["redis_socket"] = None
    # and so between the archives: the embedded server has its own, unless awictl is told another one
    if values.get("embedded") and rank("embedded") <= rank("mongodb_uri") != order.index("option"):
        values["mongodb_uri"] = None
    if rank("mongodb_uri") < rank("archive_url") or (values.get("embedded") and rank("embedded") < rank("archive_url")):
        values["archive_url"] = None


def _typed(name: str, value: Any, source: str) -> Any:
    """The value as the field's type. Raises InvalidInput, naming the setting and never a secret's value."""
    one = _FIELDS[name]
    if value is None:
        return None
    kind = str(one.type).removesuffix(" | None")
    label = f"--{name}" if source == "option" else f"{one.metadata['env']} ({source})"
    shown = _MASK if one.metadata["secret"] else repr(value)
    try:
        if kind == "bool":
            return _boolean(value)
        if name in _ARCHIVES:
            if name == "mongodb_uri" and str(value).startswith("sqlite:"):
                raise InvalidInput(f"{label}: not an archive in MongoDB: expected mongodb://HOST/DATABASE")
            return check_archive_url(str(value), label)
        if name in _FURTHER:
            _parsed(str(value), label)
        if kind == "str":
            if isinstance(value, bool) or not isinstance(value, (str, int, float)):
                raise ValueError
            return str(value)
        if isinstance(value, bool) or (kind == "int" and isinstance(value, float) and not value.is_integer()):
            raise ValueError
        number = int(value) if kind == "int" else float(value)
    except (TypeError, ValueError, OverflowError):
        wanted = {"str": "text", "bool": "true or false", "int": "a whole number", "float": "a number"}[kind]
        raise InvalidInput(f"{label}: {shown} is not {wanted}") from None
    minimum = one.metadata["minimum"]
    if number != number or number > (65535 if name == "redis_port" else 2**53):
        raise InvalidInput(f"{label}: {shown} is out of range")
    if minimum is not None and number < minimum:
        raise InvalidInput(f"{label}: {shown} is not at least {minimum:g}")
    return number


def _parsed(url: str, label: str) -> dict[str, Any]:
    """The settings that the URL of a further server means, each as its field's type."""
    return {name: _typed(name, value, label) for name, value in parse_redis_url(url, label).items()}


def _boolean(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError
